"""A run's figures as files."""

import subprocess
import sys

from hpobench.report.drawing.render import FORMS, render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figure_files import files_of_large_run, write_figures
from hpobench.report.figures import FIGURES, figures_of, regret_figure
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


def written(results, clock="seconds"):
    source = FigureSource(results, clock)
    return write_figures(source, figures_of(source))


def test_the_same_numbers_give_the_same_files(tmp_path):
    results = Results.load(write_run(tmp_path))
    one, other = (render(regret_figure(results), "svg", "light") for _ in range(2))
    assert one == other
    assert b"seconds on the cell" in one  # text stays text
    names = [f"{name}.{form}" for name in ("regret", "ledger", "memory") for form in FORMS]
    assert [*files_of_large_run(FigureSource(results))] == ["regret", "ledger", "memory"]
    assert {*names} <= {path.name for path in written(results)}
    first = [(tmp_path / "figures" / name).read_bytes() for name in names]
    written(results)
    assert [(tmp_path / "figures" / name).read_bytes() for name in names] == first
    written(results, "steps")
    assert b"training steps: one forward" in (tmp_path / "figures" / "regret.svg").read_bytes()
    dark = render(regret_figure(results, style="dark"), "svg", "dark")
    assert b"#15181d" in dark
    assert b"#15181d" not in one


def test_each_task_has_figures_of_its_own(tmp_path):
    run = write_run(tmp_path, tasks=("digits", "fashion"), without_reference=["fashion"])
    source = FigureSource(Results.load(run))
    names = [path.name for path in written(source.results)]
    drawn = [name for kind in FIGURES for name in kind.drawn(source)]
    assert names == [f"{name}.{form}" for name in drawn for form in FORMS]  # these, and no others
    figures = (
        *("regret", "time-to-target-digits", "rank-digits", "rank-fashion"),
        *("critical-difference", "performance-profile", "outer-steps-digits"),
        *("outer-steps-fashion", "parallel-digits", "parallel-fashion"),
        *("ledger", "timeline", "memory"),
    )
    known = [f"{name}.{form}" for name in figures for form in FORMS]
    assert [name for name in names if name in known] == known
    assert b"%PDF" in (run / "figures" / "rank-digits.pdf").read_bytes()[:8]


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path):
    write_run(tmp_path)
    code = f"""
import matplotlib
from matplotlib._pylab_helpers import Gcf
before = dict(matplotlib.rcParams)
from hpobench.results.run import Results
from hpobench.report.publishing import publish
publish(Results.load({str(tmp_path)!r}))
assert dict(matplotlib.rcParams) == before
assert not Gcf.get_all_fig_managers()
"""
    subprocess.run([sys.executable, "-c", code], check=True)
