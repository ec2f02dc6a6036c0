"""The figures of a run, one file a kind, and the list of them.

A kind says what its data are, how it is drawn without scripts (by matplotlib, for files and for
paper) and with them (by Plotly, on the page), and what is written below it. The files, the page and
its HTML loop over `FIGURES`; to add a figure is to add its file here and its line below.

    regret_figure(Results.load("runs/mine"), style="dark").savefig("regret.png")
"""

from typing import TypeAlias

from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.source import FigureSource
from hpobench.report.failures import Failure
from hpobench.report.figures.critical_difference import CRITICAL_DIFFERENCE
from hpobench.report.figures.hypergradients import HYPERGRADIENTS
from hpobench.report.figures.ledger import LEDGER
from hpobench.report.figures.memory import MEMORY
from hpobench.report.figures.parallel import PARALLEL
from hpobench.report.figures.profile import PROFILE
from hpobench.report.figures.rank import RANK
from hpobench.report.figures.regret import REGRET, regret_figure
from hpobench.report.figures.replay import REPLAY
from hpobench.report.figures.schedules import SCHEDULES
from hpobench.report.figures.throughput import THROUGHPUT
from hpobench.report.figures.time_to_target import TIME_TO_TARGET
from hpobench.report.figures.timeline import TIMELINE

FIGURES: tuple[FigureKind, ...] = (
    REGRET,
    REPLAY,
    TIME_TO_TARGET,
    RANK,
    CRITICAL_DIFFERENCE,
    PROFILE,
    SCHEDULES,
    HYPERGRADIENTS,
    PARALLEL,
    THROUGHPUT,
    LEDGER,
    TIMELINE,
    MEMORY,
)

FiguresByKind: TypeAlias = dict[FigureKind, list[RunFigure | Failure]]


def figures_of(source: FigureSource) -> FiguresByKind:
    """Every figure of a run that has something to show, by its kind, or why it cannot be made."""
    return {kind: kind.made(source) for kind in FIGURES}


SECTIONS = {
    "regret": "Regret over the clock",
    "replays": "Trained again, on fresh draws",
    "times": "Time to a target",
    "ranks": "Rank over the clock",
    "across": "Across tasks and seeds",
    "learned": "Hyperparameters as they were learned",
    "tried": "Hyperparameters that were tried",
    "ledger": "Where the time went",
    "timeline": "What each slot ran, and when",
    "memory": "Peak memory",
}
"""The sections of the page that have figures, in order, and their headings."""

__all__ = ["FIGURES", "SECTIONS", "FiguresByKind", "figures_of", "regret_figure"]
