"""``python -m pushkeep`` is the command line."""

from pushkeep.cli import main

main()
