"""Python processes that import nothing from the working directory.

`python -c` looks for modules in the working directory first, and so do the processes that
`multiprocessing` spawns. A folder of someone else's files may hold an `onnxruntime.py`.
"""

from __future__ import annotations

import sys


def python_command(code: str, *arguments: str) -> list[str]:
    """The command that runs `code` in a new Python with the import path of this one.

    `code` finds `arguments` in `sys.argv[1:]`.
    """
    # -I rather than -P, which Python 3.10 does not have. It leaves out PYTHONPATH too, so the path
    # is handed over; an entry that is not absolute would follow the working directory.
    path = [entry for entry in sys.path if entry.startswith(("/", "\\")) or entry[1:2] == ":"]
    start = f"import sys; sys.path[:] = {path!a}\n"
    return [sys.executable, "-I", "-W", "ignore", "-c", start + code, *arguments]
