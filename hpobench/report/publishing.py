"""What a reader opens: tables, figures and the page, all rebuilt from the records."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from subprocess import Popen
from typing import TYPE_CHECKING, Any, TypeAlias

from hpobench.garbage import no_garbage_collection
from hpobench.report import figures as registry
from hpobench.report.drawing import inline
from hpobench.report.drawing.render import FORMS
from hpobench.report.drawing.source import FigureSource
from hpobench.report.failures import (
    Failure,
    attempted,
    failures_in,
    keep_tracebacks,
    kept_tracebacks,
)
from hpobench.report.figure_files import (
    files_of,
    files_of_large_run,
    packed,
    write_drawn,
    write_with_regret,
)
from hpobench.report.figures import figures_of
from hpobench.report.figures.regret import whole_regret
from hpobench.report.page.document import is_large, page_of
from hpobench.report.subprocess_pool import run_in_subprocess, start_subprocess
from hpobench.report.tables.latex import latex_tables
from hpobench.results.json_files import refusals, write_whole
from hpobench.results.regret import Clock
from hpobench.results.run import Results

if TYPE_CHECKING:
    from markupsafe import Markup

Stamps: TypeAlias = dict[Path, tuple[int, int]]


def publish(results: Results, clock: Clock = "seconds") -> tuple[str, ...]:
    """Write the tables, and over a clock the figures and the page, into the run's folder.

    The figures' files are drawn in a process of their own; of a large run, those of each task by
    itself are on the page alone. A part that cannot be made leaves the others as they are: the page
    says so in its place, and what an earlier call made of it is removed.

    Returns:
        What could not be made, and why, a line each.
    """
    earlier = _stamps(results)
    with no_garbage_collection(), ThreadPoolExecutor(1) as waiter:
        process = start_subprocess(inline.__name__)
        results.write()
        draw = _publish_large if is_large(results) else _publish_all
        made = [_write_latex(results, clock), *draw(FigureSource(results, clock), process, waiter)]
    lines = keep_tracebacks(failures_in(made), results.path)
    _remove_stale(earlier)
    return lines


def _publish_all(
    source: FigureSource, process: Popen[bytes], waiter: ThreadPoolExecutor
) -> list[Any]:
    """Page and files; what was attempted."""
    figures = figures_of(source)
    drawn = partial(write_drawn, source.results.path, packed(files_of(source, figures)))
    waiting = waiter.submit(run_in_subprocess, [drawn], process)
    page = _write_page(source, partial(page_of, figures=figures))
    return [page, _files(waiting.result)]


def _publish_large(
    source: FigureSource, process: Popen[bytes], waiter: ThreadPoolExecutor
) -> list[Any]:
    """The same of a large run: its page has a file's drawing in place of its own."""
    whole = attempted("regret", partial(whole_regret, source))
    spoken = "" if isinstance(whole, Failure) else whole.spoken
    files = packed(files_of_large_run(source))
    drawn = partial(write_with_regret, source.results.path, files, spoken)
    waiting = waiter.submit(run_in_subprocess, [drawn], process)

    def drawing() -> Markup | Failure:
        answer = _files(waiting.result)
        return answer if isinstance(answer, Failure) else answer[0][1]

    page = _write_page(source, partial(page_of, drawn=drawing))
    return [page, _files(waiting.result)]


def _files(result: Callable[[], Any]) -> Any:
    """What the other process says; if it is lost, nobody knows which figure it was."""
    return attempted("files", result, "the figures' files")


def _write_page(source: FigureSource, make: Callable[..., Any]) -> Any:
    """``make``: `page_of`, but for run and clock. What could not be made of it."""
    page = attempted("report.html", partial(make, source.results, source.clock), "the page")
    if isinstance(page, Failure):
        return page
    write_whole(source.results.path / "report.html", page.html.encode())
    return page.failures


def _write_latex(results: Results, clock: Clock) -> Failure | None:
    text = attempted("table.tex", partial(latex_tables, results, clock), "the table table.tex")
    if isinstance(text, Failure):
        return text
    write_whole(results.path / "table.tex", text.encode())
    return None


def _stamps(results: Results) -> Stamps:
    """What is there of what is to be made, and since when: a file that is replaced has another."""
    run = results.path
    names = {name for kind in registry.FIGURES for name in kind.names(results.tasks)}
    figures = (run / "figures" / f"{name}.{form}" for name in names for form in FORMS)
    files = [run / "report.html", run / "table.tex", *figures, *kept_tracebacks(run)]
    with refusals(run):
        return {file: _stamp(file) for file in files if file.exists()}


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_ino, status.st_mtime_ns


def _remove_stale(earlier: Stamps) -> None:
    """Remove what has not been made again."""
    for file, stamp in earlier.items():
        with refusals(file):
            if file.exists() and _stamp(file) == stamp:
                file.unlink()
