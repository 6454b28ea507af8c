"""`python -m edgekit`, where the command is not on the path."""

from edgekit.cli import main

main()
