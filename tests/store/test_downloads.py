"""Downloads from a server on this machine; no network is needed."""

from __future__ import annotations

import gzip
import hashlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from edgekit.errors import WeightsUnavailable
from edgekit.records import CheckpointFile
from edgekit.store import checkpoint_dir, download, downloads

CONTENT = bytes(range(256)) * 4096  # 1 MiB: several chunks
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Shelf(BaseHTTPRequestHandler):
    """Serves /weights.pth, and it in ways that a server should not; 404 for other names.

    /unsized has no length, /packed is compressed although nobody asked for that, /short is
    truncated, /endless never ends, /silent stops after one byte, and /dripping sends a byte every
    20 ms.
    """

    pause = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/packed":
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(gzip.compress(CONTENT))
            return
        names = ("/weights.pth", "/unsized", "/short", "/endless", "/silent", "/dripping")
        if self.path not in names:
            self.send_error(404)
            return
        self.send_response(200)
        if self.path not in ("/unsized", "/endless"):
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if self.path in ("/endless", "/silent", "/dripping"):
            with suppress(OSError):
                self.never_finish()
            return
        self.wfile.write(CONTENT[:-1] if self.path == "/short" else CONTENT)

    def never_finish(self) -> None:
        self.wfile.write(b"x")
        wait = {"/endless": 0.0, "/silent": 60.0, "/dripping": 0.02}[self.path]
        while not self.pause.wait(wait):
            self.wfile.write(CONTENT if self.path == "/endless" else b"x")

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Shelf) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        Shelf.pause.set()
        http.shutdown()
        thread.join()


def checkpoint(url: str, *, sha256: str | None = SHA256) -> CheckpointFile:
    return CheckpointFile(
        filename="weights.pth", url=url, sha256=sha256, bytes=len(CONTENT), licence="Apache-2.0"
    )


def refusal(file: CheckpointFile) -> str:
    with pytest.raises(WeightsUnavailable) as caught:
        download(file)
    assert caught.value.exit_code == 3
    message = str(caught.value)
    for needed in (file.url, str(checkpoint_dir()), file.sha256 or "unknown", "--weights seeded"):
        assert needed in message
    return message


def test_download_and_progress(server: str, cache: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    path = download(
        checkpoint(f"{server}/weights.pth"), progress=lambda done, total: seen.append((done, total))
    )
    assert path == cache / "checkpoints" / "weights.pth"
    assert path.read_bytes() == CONTENT
    done = [count for count, _ in seen]
    assert done == sorted(done)
    assert len(set(done)) >= 3
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_unknown_size(server: str) -> None:
    seen: list[tuple[int, int | None]] = []
    download(
        checkpoint(f"{server}/unsized"), progress=lambda done, total: seen.append((done, total))
    )
    assert {total for _, total in seen} == {None}
    assert seen[-1][0] == len(CONTENT)


def test_a_server_that_compresses_unasked(server: str) -> None:
    assert download(checkpoint(f"{server}/packed")).read_bytes() == CONTENT


def test_no_second_download(server: str) -> None:
    path = download(checkpoint(f"{server}/weights.pth"))
    assert download(checkpoint("http://127.0.0.1:1/gone")) == path


def test_file_put_there_by_hand(cache: Path) -> None:
    checkpoint_dir().mkdir()
    (checkpoint_dir() / "weights.pth").write_bytes(CONTENT)
    assert download(checkpoint("http://127.0.0.1:1/gone")).read_bytes() == CONTENT
    assert download(checkpoint("http://127.0.0.1:1/gone", sha256=None)).read_bytes() == CONTENT


def test_damaged_file_is_fetched_again(server: str) -> None:
    checkpoint_dir().mkdir()
    (checkpoint_dir() / "weights.pth").write_bytes(b"damaged")
    assert download(checkpoint(f"{server}/weights.pth")).read_bytes() == CONTENT


def test_wrong_file_put_there_by_hand_is_reported_and_kept() -> None:
    checkpoint_dir().mkdir()
    (checkpoint_dir() / "weights.pth").write_bytes(b"another version")
    assert "has another SHA-256" in refusal(checkpoint("http://127.0.0.1:1/gone"))
    assert (checkpoint_dir() / "weights.pth").read_bytes() == b"another version"


@pytest.mark.parametrize(("page", "sha256"), [("weights.pth", "0" * 64), ("short", SHA256)])
def test_wrong_content(server: str, page: str, sha256: str) -> None:
    refusal(checkpoint(f"{server}/{page}", sha256=sha256))
    assert list(checkpoint_dir().iterdir()) == []


def test_a_file_that_does_not_end(server: str) -> None:
    assert "the server sends more than" in refusal(checkpoint(f"{server}/endless"))
    assert list(checkpoint_dir().iterdir()) == []


def test_a_server_that_falls_silent(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_SILENT_S", 0.3)
    start = time.monotonic()
    assert "timed out" in refusal(checkpoint(f"{server}/silent"))
    assert time.monotonic() - start < 5
    assert list(checkpoint_dir().iterdir()) == []


def test_a_server_that_sends_a_byte_now_and_then(
    server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each byte arrives in time, and the file never would."""
    monkeypatch.setattr(downloads, "_START_S", 0.3)
    monkeypatch.setattr(downloads, "_LEAST_SPEED", 10_000_000)
    start = time.monotonic()
    assert "less than 10000 kB per second" in refusal(checkpoint(f"{server}/dripping"))
    assert time.monotonic() - start < 5
    assert list(checkpoint_dir().iterdir()) == []


def test_missing_page(server: str) -> None:
    assert "404" in refusal(checkpoint(f"{server}/gone.pth"))
    assert list(checkpoint_dir().iterdir()) == []


def test_connection_refused() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    assert "ConnectionError" in refusal(checkpoint(f"http://127.0.0.1:{port}/weights.pth"))
    assert list(checkpoint_dir().iterdir()) == []


def test_without_a_known_digest_nothing_is_downloaded(server: str) -> None:
    message = refusal(checkpoint(f"{server}/weights.pth", sha256=None))
    assert "not downloaded" in message
    assert not checkpoint_dir().exists()


def test_cache_that_cannot_be_written(server: str, cache: Path) -> None:
    (cache / "checkpoints").write_text("a file")
    refusal(checkpoint(f"{server}/weights.pth"))


def test_interrupted_download_leaves_nothing(server: str) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(checkpoint(f"{server}/weights.pth"), progress=interrupt)
    assert list(checkpoint_dir().iterdir()) == []


def test_messages_do_not_contain_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text ends up in bundles, which others read."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / ".cache" / "edgekit"))
    with pytest.raises(WeightsUnavailable) as caught:
        download(checkpoint("http://127.0.0.1:1/gone"))
    assert str(tmp_path) not in str(caught.value)
    assert "~/.cache/edgekit/checkpoints" in str(caught.value)
