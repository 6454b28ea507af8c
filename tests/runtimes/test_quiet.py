"""What C++ writes to stderr is hidden inside, and only there."""

from __future__ import annotations

import os

import pytest

from edgekit.runtimes.quiet import silent_stderr


def test_only_what_is_written_inside_is_hidden(capfd: pytest.CaptureFixture[str]) -> None:
    os.write(2, b"before\n")
    with silent_stderr():
        os.write(2, b"inside\n")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_stderr_comes_back_after_an_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="cause"), silent_stderr():
        raise ValueError("cause")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_no_file_descriptor_is_left_open() -> None:
    def opened() -> int:
        return os.dup(2)

    first = opened()
    os.close(first)
    for _ in range(3):
        with silent_stderr():
            pass
    last = opened()
    os.close(last)
    assert last == first
