"""A run's figures as files."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpobench.report import figures as registry
from hpobench.report.drawing.render import FORMS, render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of, files_of_large_run, write_drawn
from hpobench.report.figures import FIGURES, figures_of, regret_figure
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


def written(source: FigureSource) -> list[str]:
    """The names of its files."""
    drawn = files_of(source, figures_of(source))
    return [path.name for path in write_drawn(source.results.path, drawn)]


@pytest.mark.slow
def test_the_same_numbers_give_the_same_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the kinds that a large run has; of each kind `test_every_figure` compares drawings."""
    few = tuple(kind for kind in FIGURES if kind.of_large_runs)
    monkeypatch.setattr(registry, "FIGURES", few)
    results = Results.load(write_run(tmp_path))
    one, other = (render(regret_figure(results), "svg", "light") for _ in range(2))
    assert one == other
    assert b"seconds on the cell" in one  # text stays text
    names = [f"{name}.{form}" for name in ("regret", "ledger", "memory") for form in FORMS]
    assert [*files_of_large_run(FigureSource(results))] == ["regret", "ledger", "memory"]
    assert names == written(FigureSource(results))
    first = [(tmp_path / "figures" / name).read_bytes() for name in names]
    beginnings = dict(zip(FORMS, [b"\x89PNG", b"<?xml", b"%PDF"], strict=True))
    for name, content in zip(names, first, strict=True):
        assert content.startswith(beginnings[name.rpartition(".")[2]])
    written(FigureSource(results))
    assert [(tmp_path / "figures" / name).read_bytes() for name in names] == first
    written(FigureSource(results, "steps"))
    assert b"training steps: one forward" in (tmp_path / "figures" / "regret.svg").read_bytes()
    dark = render(regret_figure(results, style="dark"), "svg", "dark")
    assert b"#15181d" in dark
    assert b"#15181d" not in one


DRAW = """
import json
import sys
import matplotlib
from matplotlib._pylab_helpers import Gcf
before = dict(matplotlib.rcParams)
from hpobench.report import figures
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of, write_drawn
from hpobench.report.page.document import write_report
from hpobench.results.run import Results
source = FigureSource(Results.load(sys.argv[1]))
drawn = files_of(source, figures.figures_of(source))
names = [path.name for path in write_drawn(source.results.path, drawn)]
figures.FIGURES = figures.FIGURES[:1]  # a page draws them all in the same way
write_report(source.results)
changed = [name for name, value in matplotlib.rcParams.items() if before.get(name) != value]
print(json.dumps([names, changed, len(Gcf.get_all_fig_managers())]))
"""


@dataclass(frozen=True)
class Drawn:
    """A run of which all was drawn by a process of its own.

    ``names``: of the files, in order; ``changed``: settings of matplotlib's that are others since;
    ``left``: how many figures it still knows.
    """

    source: FigureSource
    names: list[str]
    changed: list[str]
    left: int


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    run = write_run(
        tmp_path_factory.mktemp("run"), tasks=("digits", "fashion"), without_reference=["fashion"]
    )
    command = [sys.executable, "-c", DRAW, str(run)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return Drawn(FigureSource(Results.load(run)), *json.loads(said))


@pytest.mark.slow
def test_each_task_has_figures_of_its_own(drawn: Drawn) -> None:
    names = [name for kind in FIGURES for name in kind.drawn(drawn.source)]
    # These, and no others.
    assert drawn.names == [f"{name}.{form}" for name in names for form in FORMS]
    figures = (
        *("regret", "time-to-target-digits", "rank-digits", "rank-fashion"),
        *("critical-difference", "performance-profile", "outer-steps-digits"),
        *("outer-steps-fashion", "parallel-digits", "parallel-fashion"),
        *("ledger", "timeline", "memory"),
    )
    known = [f"{name}.{form}" for name in figures for form in FORMS]
    assert [name for name in drawn.names if name in known] == known
    folder = drawn.source.results.path / "figures"
    assert b"%PDF" in (folder / "rank-digits.pdf").read_bytes()[:8]


@pytest.mark.slow
def test_drawing_leaves_no_trace_in_matplotlib(drawn: Drawn) -> None:
    assert drawn.changed == []
    assert drawn.left == 0
