"""`python -m edgekit`, where the command is not on the path."""

import sys
from pathlib import Path

# `python -m` puts the working directory first, except with -I or (from Python 3.11 on) -P. It stays
# only if edgekit itself is there.
if (
    not sys.flags.isolated
    and not getattr(sys.flags, "safe_path", False)
    and Path(sys.path[0]) != Path(__file__).resolve().parents[1]
):
    del sys.path[0]

from edgekit.cli import main

main()
