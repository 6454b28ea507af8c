"""`python -m edgekit`, where the command is not on the path."""

import sys
from pathlib import Path

# `python -m` puts the working directory first. It stays only if edgekit itself is there.
if not sys.flags.isolated and Path(sys.path[0]) != Path(__file__).resolve().parents[1]:
    del sys.path[0]

from edgekit.cli import main

main()
