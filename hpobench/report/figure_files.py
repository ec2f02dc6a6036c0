"""A run's figures as files: `figures/NAME.png`, `.svg` and `.pdf` in its folder."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from hpobench.report import figures as registry
from hpobench.report.drawing.figure import Draw, RunFigure
from hpobench.report.drawing.inline import inline_file
from hpobench.report.drawing.render import FORMS, Form, render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.failures import Failure, attempted, failures_in
from hpobench.report.figures import FiguresByKind
from hpobench.report.figures.regret import REGRET
from hpobench.results.json_files import make_folder, write_whole

if TYPE_CHECKING:
    from markupsafe import Markup
    from matplotlib.figure import Figure

T = TypeVar("T")


def files_of(source: FigureSource, figures: FiguresByKind) -> dict[str, Draw | Failure]:
    """What draws each of a run's files, by name; ``figures``: those of the page."""
    return {
        name: draw
        for kind, of_kind in figures.items()
        for name, draw in kind.drawn(
            source, [figure for figure in of_kind if isinstance(figure, RunFigure)]
        ).items()
    }


def files_of_large_run(source: FigureSource) -> dict[str, Draw | Failure]:
    """The same of a run so large that only some are drawn; each holds no more than its data."""
    kinds = [kind for kind in registry.FIGURES if kind.of_large_runs]
    return {name: draw for kind in kinds for name, draw in kind.drawn(source).items()}


@dataclass(frozen=True)
class Packed:
    """What draws a figure, to be sent to another process: one that cannot be read there is alone.

    Args:
        content: Pickled.
    """

    content: bytes

    def __call__(self) -> Figure:
        draw: Draw = pickle.loads(self.content)
        return draw()


def packed(figures: Mapping[str, Draw | Failure]) -> dict[str, Draw | Failure]:
    """The same, each by itself; ones that cannot be sent are failures."""
    return {
        name: draw if isinstance(draw, Failure) else _attempted(name, partial(_packed, draw))
        for name, draw in figures.items()
    }


def write_drawn(run: Path, figures: Mapping[str, Draw | Failure]) -> tuple[Path | Failure, ...]:
    """Draw figures and write them into a run's folder; the files, in order.

    In place of the files of a figure that cannot be drawn is why that is.
    """
    folder = make_folder(run / "figures")
    written: list[Path | Failure] = []
    for name, draw in figures.items():
        drawn = draw if isinstance(draw, Failure) else _attempted(name, partial(_rendered, draw))
        if isinstance(drawn, Failure):
            written.append(drawn)
            continue
        for form, content in drawn.items():
            file = folder / f"{name}.{form}"
            write_whole(file, content)
            written.append(file)
    return tuple(written)


def write_with_regret(
    run: Path, figures: Mapping[str, Draw | Failure], spoken: str
) -> tuple[tuple[Path | Failure, ...], Markup | Failure]:
    """The same of a large run, and what its page has in place of interactive figures.

    ``spoken``: what a screen reader says of that.
    """
    written = write_drawn(run, figures)
    for failure in failures_in(written):
        if failure.name == REGRET.called:  # an earlier drawing may be there still
            return written, failure
    file = run / "figures" / f"{REGRET.called}.svg"
    return written, attempted(REGRET.called, partial(inline_file, file, "regret-", spoken))


def _attempted(name: str, make: Callable[[], T]) -> T | Failure:
    return attempted(name, make, f"the file of figure {name}")


def _packed(draw: Draw) -> Packed:
    return Packed(pickle.dumps(draw))


def _rendered(draw: Draw) -> dict[Form, bytes]:
    figure = draw()
    return {form: render(figure, form, "light") for form in FORMS}
