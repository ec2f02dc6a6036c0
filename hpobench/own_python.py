"""Processes of Python's that import from where this one does."""

from __future__ import annotations

import sys


def command(module: str, *arguments: str) -> list[str]:
    """Runs ``main`` of a module.

    Not by ``python -m``, which would look into the working folder first: what lies there may be
    called as one of our packages, or of the libraries, is.
    """
    code = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"
    return [sys.executable, "-c", code, *arguments]
