"""Output for terminals and logs that know only some letters: the others are spelled in those."""

from __future__ import annotations

import codecs
import io
from typing import IO

SPELLED = {
    **dict.fromkeys("–−‑─┬┴┼", "-"),
    **dict.fromkeys("│┤├└┘┌┐", "|"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict(zip("●■▲◆▼○", "o#^*v0", strict=True)),
    **{
        "┄": ".",
        "×": "x",
        "±": "+-",
        "…": "...",
        "·": "*",
        "→": "->",
        "≤": "<=",
        "≥": ">=",
        "∞": "inf",
    },
    **{"\N{NO-BREAK SPACE}": " ", "α": "alpha", "β": "beta", "θ": "theta", "γ": "gamma"},
}
"""What words, numbers and pictures are made of besides ASCII, in ASCII."""

NAME = "hpobench"


def _spelled(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(SPELLED.get(letter, "?") for letter in lacking), error.end


codecs.register_error(NAME, _spelled)


def spell_out(*streams: IO[str]) -> None:
    """Have streams spell what their encoding lacks, where else they would raise."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=NAME)
