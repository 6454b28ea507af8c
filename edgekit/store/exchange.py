"""Exchange the names of two folders in one step, so that no moment is without the one or the other.

Python has no function for it. Linux has `renameat2` with RENAME_EXCHANGE (since 3.15; ext4, XFS,
Btrfs, tmpfs), macOS `renamex_np` with RENAME_SWAP (APFS).
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from pathlib import Path

_HERE = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE, and RENAME_SWAP
_UNSUPPORTED = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})


def exchange(one: Path, other: Path) -> bool:
    """Exchange two existing paths of one file system; False if the system cannot do it.

    Raises:
        OSError: the system can, but not with these paths.
    """
    names = (os.fsencode(one), os.fsencode(other))
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = libc.renamex_np(*names, _EXCHANGE)
        else:
            failed = libc.renameat2(_HERE, names[0], _HERE, names[1], _EXCHANGE)
    except (OSError, TypeError, AttributeError):  # no such function, or no C library to ask
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _UNSUPPORTED:
        return False
    raise OSError(code, os.strerror(code), str(other))
