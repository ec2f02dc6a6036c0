"""What an encoding lacks is spelled in what it has."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpobench.plain_letters import SPELLED, spell_out
from hpobench.report.drawing.text_panel import DEFAULT, LEVEL, MARKS
from hpobench.text import UNKNOWN
from tests.hpobench.fake_run import write_run


def printed(text: str, encoding: str, errors: str = "strict") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors=errors)
    spell_out(stream)
    print(text, end="", file=stream, flush=True)
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize("errors", ["strict", "backslashreplace", "surrogateescape"])
def test_letters_that_are_lacking_are_spelled(errors: str) -> None:
    assert printed("2 × −0.5 ± 1 … ┤ → –", "ascii", errors) == "2 x -0.5 +- 1 ... | -> -"
    assert printed("2 × −0.5 ± 1", "latin-1", errors) == "2 × -0.5 ± 1"
    assert printed("2 × −0.5 ± 1 ┤", "utf-8", errors) == "2 × −0.5 ± 1 ┤"


def test_what_has_no_spelling_is_a_question_mark() -> None:
    assert printed("a 雪 b", "ascii") == "a ? b"
    assert printed("a \udcff b", "utf-8") == "a ? b"


def test_spellings_are_ascii_and_those_of_a_picture_differ() -> None:
    assert "".join(SPELLED.values()).isascii()
    assert {*MARKS, DEFAULT, LEVEL, UNKNOWN} <= SPELLED.keys()
    drawn = [*MARKS, DEFAULT, LEVEL]
    assert len({SPELLED[mark] for mark in drawn}) == len(drawn)


def test_another_stream_is_left_alone() -> None:
    spell_out(io.StringIO())


@pytest.mark.slow
def test_commands_whose_output_is_ascii(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", searchers=("fds", "random"), seeds=(0, 1))
    for command in (["report", str(run)], ["status", str(run)], ["list"], ["run", "--help"]):
        done = subprocess.run(
            [sys.executable, "-m", "hpobench", *command],
            env={**os.environ, "PYTHONIOENCODING": "ascii"},
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.isascii()
        assert done.stderr == b""
