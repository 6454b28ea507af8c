"""Output of C++ code, warnings and log lines are hidden inside the block, and only there."""

from __future__ import annotations

import logging
import os
import warnings

import pytest

from edgekit.runtimes.quiet import quiet, silent_stderr


def test_stderr_is_hidden_inside_only(capfd: pytest.CaptureFixture[str]) -> None:
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


def test_warnings_and_log_lines_are_hidden_inside_only(caplog: pytest.LogCaptureFixture) -> None:
    child = logging.getLogger("some.library.part")
    with quiet("some.library"):
        child.warning("inside")
        child.error("an error")
        warnings.warn("inside", stacklevel=1)
    child.warning("after")
    assert caplog.messages == ["an error", "after"]
    with pytest.warns(UserWarning, match="after"):
        warnings.warn("after", stacklevel=1)


def test_only_the_named_warnings_are_hidden() -> None:
    with quiet(message=".*LeafSpec"):
        warnings.warn("uses LeafSpec", stacklevel=1)
        with pytest.warns(UserWarning, match="other"):
            warnings.warn("other", stacklevel=1)
