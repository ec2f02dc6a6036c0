"""``python -m hpobench``: the command line."""

from hpobench.cli import main

main()
