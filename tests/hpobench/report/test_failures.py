"""A figure or table that fails is told in its place, and leaves all others as they would be."""

from __future__ import annotations

import dataclasses
import errno
import html
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd
import pytest

from hpobench.errors import RunError
from hpobench.report import figures as registry
from hpobench.report import publishing
from hpobench.report.drawing.figure import FigureKind, RunFigure
from hpobench.report.drawing.source import FigureSource
from hpobench.report.failures import Failure, attempted, failures_in
from hpobench.report.figure_files import files_of, packed, write_drawn
from hpobench.report.figures import figures_of, ledger, rank, schedules
from hpobench.report.figures.ledger import LEDGER
from hpobench.report.figures.rank import RANK
from hpobench.report.figures.regret import REGRET
from hpobench.report.figures.schedules import SCHEDULES
from hpobench.report.live_server import LivePage
from hpobench.report.page import document, notes
from hpobench.report.page.document import page_of
from hpobench.report.publishing import publish
from hpobench.report.verification import differences
from hpobench.results.run import Results
from tests.hpobench.command_line import command
from tests.hpobench.fake_run import write_run

TASKS = ("digits", "fashion")
WHY = "ValueError: <b>planted</b> & told on a line"


def planted(*_: object, **__: object) -> NoReturn:
    raise ValueError("<b>planted</b> &\n  told\ton a line")


@pytest.fixture(scope="module", autouse=True)
def two_kinds_of_figures() -> Iterator[None]:
    """One for each task and one for the run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "FIGURES", (RANK, LEDGER))
        yield


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of which nothing is published."""
    return write_run(tmp_path_factory.mktemp("recorded") / "run", TASKS, ("fds", "random"))


@pytest.fixture(scope="module")
def published(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = shutil.copytree(recorded, tmp_path_factory.mktemp("published") / "run")
    assert publish(Results.load(run)) == ()
    return run


@pytest.fixture
def run(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "a run")


def files(run: Path) -> dict[str, bytes]:
    """What was published of the figures, by name."""
    return {file.name: file.read_bytes() for file in (run / "figures").iterdir()}


def data_of(page: str) -> dict[str, str]:
    """What the page's scripts draw, by figure."""
    packed = r'<figure data-figure="([^"]+)">.*?<script type="text/plain">(.*?)</script>'
    return dict(re.findall(packed, page, re.DOTALL))


def told(page: str) -> list[str]:
    """What a page says of what it lacks, a text each."""
    found = re.findall(r'<div class="undrawn" role="note">(.*?)</div>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split()) for text in found]


STAGES: dict[str, Callable[..., Any]] = {
    "rank_data": rank.rank_data,
    "rank_figure": rank.rank_figure,
    "rank_plot": rank.rank_plot,
}
"""What is called to make a figure."""


@dataclasses.dataclass(frozen=True)
class FailsForFashion:
    """One of these, in this process or in another; some panel is among what it is given."""

    stage: str

    def __call__(self, *arguments: Any) -> Any:
        if any(getattr(argument, "task", "") == "fashion" for argument in arguments):
            planted()
        return STAGES[self.stage](*arguments)


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_whatever_fails_in_a_figure_all_else_comes_out_as_if_it_were_not_there(
    run: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    whole = (run / "report.html").read_text(), files(run)
    monkeypatch.setattr(rank, stage, FailsForFashion(stage))
    [line] = publish(Results.load(run))
    error = run / "figures" / "rank-fashion.error.txt"
    assert line.startswith(f"figure rank-fashion could not be drawn: {WHY} (report/test_failures")
    assert line.endswith(f"its traceback: {error}")
    assert "\n" not in line
    assert "Traceback (most recent call last)" in error.read_text()
    assert "in planted" in error.read_text()
    page = (run / "report.html").read_text()
    [words] = told(page)
    assert words.startswith(f"Figure rank-fashion could not be drawn. {WHY} It comes from report/")
    assert "<b>planted" not in page
    ranks = page[page.index('<h2 id="ranks">') :]
    assert (
        ranks.index("<h3>fashion</h3>") < ranks.index("undrawn") < ranks.index('<h2 id="ledger">')
    )
    kept = {name: data for name, data in data_of(whole[0]).items() if name != "rank-fashion"}
    assert data_of(page) == kept
    others = {name: file for name, file in files(run).items() if "rank-fashion" not in name}
    assert others == {name: whole[1][name] for name in others}
    assert len(others) == 6
    drawn = stage == "rank_plot"  # files need no scripts
    assert (run / "figures" / "rank-fashion.png").exists() == drawn
    monkeypatch.undo()
    assert publish(Results.load(run)) == ()
    assert files(run) == whole[1]
    assert (run / "report.html").read_text() == whole[0]


def broken_kind(**fails: Callable[..., Any]) -> FigureKind:
    """A user's own, of one figure."""
    figure = RunFigure(
        section="across",
        heading="Mine",
        name="mine",
        label="Figure: mine",
        caption="A caption.",
        data=pd.DataFrame({"a": [1.0]}),
        static=planted,
        interactive=planted,
    )

    def mine_figures(source: FigureSource) -> list[RunFigure]:
        return [dataclasses.replace(figure, **fails)]

    return FigureKind(mine_figures)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (FigureKind(planted, name="mine", section="across"), "mine"),
        (FigureKind(planted), "planted"),
        (FigureKind(lambda source: [], files=planted, name="mine"), None),
        (broken_kind(), "mine"),
        (broken_kind(data=None), "mine"),
        (broken_kind(static=lambda: None, interactive=lambda: None), "mine"),
        (FigureKind(lambda source: None, name="mine"), "mine"),  # type: ignore[arg-type, return-value]
    ],
    ids=["figures", "no name", "files", "drawings", "data", "nothing drawn", "no list"],
)
def test_a_kind_of_figure_may_fail_anywhere(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, kind: FigureKind, name: str | None
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (RANK, kind, LEDGER))
    source = FigureSource(Results.load(recorded))
    page = page_of(source.results)
    assert [failure.name for failure in page.failures] == ([name] if name else [])
    assert len(told(page.html)) == len(page.failures)
    assert data_of(page.html).keys() == {"rank-digits", "rank-fashion", "ledger"}
    drawn = packed(files_of(source, figures_of(source)))
    assert {"rank-digits", "rank-fashion", "ledger"} <= drawn.keys()
    if name is None:
        [failure] = failures_in(drawn)
        assert failure.name == "mine"


def test_a_figure_that_another_process_cannot_read_is_alone(
    recorded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = FigureSource(Results.load(recorded))
    drawn = packed({**files_of(source, figures_of(source)), "mine": lambda: planted()})
    assert isinstance(drawn["mine"], Failure)
    lost = packed({"lost": rank.rank_figure})
    monkeypatch.delattr(rank, "rank_figure")
    *written, mine, there = write_drawn(tmp_path, {**drawn, **lost, "ledger": drawn["ledger"]})
    assert [one.name for one in written if isinstance(one, Failure)] == [
        *("rank-digits", "rank-fashion")  # which need it, too
    ]
    assert isinstance(there, Failure)
    assert there.what == "the file of figure lost"
    assert "rank_figure" in there.why
    assert mine == drawn["mine"]


@pytest.mark.slow
def test_a_drawing_process_that_is_killed_costs_the_files_alone(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill = FigureKind(lambda source: [], lambda source: {"end": partial(_end, os.getpid())})
    monkeypatch.setattr(registry, "FIGURES", (RANK, kill))
    [line] = publish(Results.load(run))
    assert line.startswith("the figures' files could not be drawn: RuntimeError: work in another")
    assert told((run / "report.html").read_text()) == []
    assert [*files(run)] != []


def _end(beside: int) -> None:
    """End this process, if it is another."""
    if os.getpid() != beside:
        os.kill(os.getpid(), signal.SIGKILL)


TABLES = {
    "pairs_tables": ("table-pairs", "The table of searchers against each other"),
    "across_table": ("table-across", "The table of all searchers across tasks and seeds"),
    "ledger_table": ("table-ledger", "The table of where the time went"),
    "fault_table": ("table-disturbances", "The table of what went wrong"),
    "cell_table": ("table-cells", "The table of cells"),
    "replay_section": ("table-replays", "The table of what was trained again"),
    "reached": ("table-summary-digits", "The table of the summary of digits"),
    "answers": ("answer", "The answer in words"),
    "price_notes": ("note-prices-digits", "The note prices-digits"),
    "incomplete": ("note-incomplete-digits", "The note incomplete-digits"),
    "ledger_note": ("note-ledger", "The note ledger"),
}


@pytest.mark.parametrize("part", TABLES)
def test_a_table_that_fails_is_told_in_its_place(
    recorded: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (LEDGER,))
    monkeypatch.setattr(document if hasattr(document, part) else notes, part, planted)
    page = page_of(Results.load(recorded))
    name, what = TABLES[part]
    assert page.failures[0].name == name
    assert len(page.failures) == (2 if name.endswith("-digits") else 1)  # of each task
    assert told(page.html)[0].startswith(f"{what} could not be made. {WHY}")
    assert len(told(page.html)) == len(page.failures)
    assert data_of(page.html).keys() == {"ledger"}


@pytest.mark.slow
def test_a_table_for_papers_or_a_page_that_fails_does_not_stay_as_it_was(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (LEDGER,))
    monkeypatch.setattr(publishing, "latex_tables", planted)
    monkeypatch.setattr(publishing, "page_of", planted)
    table, page = publish(Results.load(run))
    assert table.startswith(f"the table table.tex could not be made: {WHY}")
    assert page.startswith(f"the page could not be made: {WHY}")
    assert not (run / "table.tex").exists()
    assert not (run / "report.html").exists()
    assert (run / "figures" / "ledger.png").exists()
    assert (run / "summary.csv").exists()
    found = differences(run)
    assert [line.partition(":")[0] for line in found] == [
        *("figures/report.html.error.txt", "figures/table.tex.error.txt")
    ]


@pytest.mark.slow
def test_a_large_run_goes_the_same_way(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its page has a file's drawing, and none of an earlier one."""
    monkeypatch.setattr(registry, "FIGURES", (REGRET, LEDGER))
    monkeypatch.setattr(document, "MANY", 0)
    assert publish(Results.load(run)) == ()
    before = files(run)
    assert "rank-digits.png" in before  # of a kind that is not known now
    monkeypatch.setattr(ledger, "ledger_figure", planted)
    unreadable = FigureKind(REGRET.figures, _unreadable, True, "regret", by_task=True)
    monkeypatch.setattr(registry, "FIGURES", (unreadable, LEDGER))
    lines = publish(Results.load(run))
    assert [line.partition(" could not")[0] for line in lines] == [
        *("the file of figure regret", "the file of figure ledger")
    ]
    page = (run / "report.html").read_text()
    assert len(told(page)) == 1
    assert "<svg" not in page
    assert data_of(page).keys() == {"regret-digits", "regret-fashion", "ledger"}
    assert [*data_of(page)] == [*data_of(page_of(Results.load(run)).html)]
    assert not (run / "figures" / "regret.svg").exists()
    assert not (run / "figures" / "ledger.png").exists()


def _unreadable(source: FigureSource) -> dict[str, Callable[[], NoReturn]]:
    return {"regret": planted}


def test_what_all_tasks_share_may_fail_for_one(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of all tasks is not drawn without one of them, and one of each task is."""
    data = schedules.schedule_data

    def fails(evaluated: Any, task: str, *others: Any) -> Any:
        return planted() if task == "fashion" else data(evaluated, task, *others)

    monkeypatch.setattr(schedules, "schedule_data", fails)
    source = FigureSource(Results.load(recorded))
    made = SCHEDULES.made(source)
    assert [one.name for one in made] == ["schedules-digits", "schedules-fashion"]
    assert [type(one) for one in made] == [RunFigure, Failure]
    assert [*SCHEDULES.drawn(source)] == ["outer-steps-digits", "schedules-fashion"]


@pytest.mark.slow
def test_verify_names_what_failed_and_its_advice_can_be_pasted(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (LEDGER,))
    assert differences(run)[0].startswith("report.html")  # there is no rank now
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "ledger_data", planted)
        shown = command("report", run)
        assert (shown.returncode, shown.stderr) == (1, "")
        [line] = [line for line in shown.stdout.splitlines() if "could not" in line]
        assert line.startswith(f"figure ledger could not be drawn: {WHY}")
        assert line.endswith(f"; its traceback: {run / 'figures' / 'ledger.error.txt'}")
        shown = command("verify", run)
        assert shown.returncode == 1
        [line] = shown.stdout.splitlines()
        assert line.startswith(f"figures/ledger.error.txt: figure ledger could not be drawn: {WHY}")
        assert line.endswith(f"hpobench report '{run}' tries it again")
    assert any("nothing" in line or "ledger" in line for line in differences(run)[1:])
    assert command("report", run).returncode == 0
    assert differences(run) == []
    monkeypatch.setattr(ledger, "ledger_data", planted)  # it was published by a sound version
    assert differences(run)[0].startswith("report.html: figure ledger could not be drawn")


def test_a_page_that_is_watched_says_so_and_lives_on(
    recorded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "FIGURES", (LEDGER,))
    live = LivePage(recorded, "seconds", every=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(ledger, "ledger_data", planted)
        assert len(told(live.page().decode())) == 1
    os.utime(recorded / "cells" / "digits__fds__s0" / "cell.json")
    assert told(live.page().decode()) == []
    monkeypatch.setattr(document, "content", planted)
    os.utime(recorded / "cells" / "digits__fds__s0" / "cell.json")
    assert "the page could not be made: ValueError: &lt;b&gt;" in live.page().decode()


@pytest.mark.parametrize(
    "error", [MemoryError(), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")]
)
def test_what_is_no_figures_failure_ends_the_work(error: BaseException) -> None:
    def fails() -> NoReturn:
        raise error

    with pytest.raises(type(error)):
        attempted("mine", fails)


def test_a_reason_is_short_and_has_nothing_that_a_terminal_obeys() -> None:
    def fails() -> NoReturn:
        raise RuntimeError("\x1b[31m \udcff " + "long " * 1000)

    failure = attempted("mine", fails)
    assert isinstance(failure, Failure)
    assert len(failure.why) < 400
    assert failure.why.isprintable()
    failure.why.encode()


@pytest.mark.slow
def test_a_disk_that_refuses_the_figures_is_an_error_of_the_run(run: Path) -> None:
    """Also where the other process is the one that notices."""
    shutil.rmtree(run / "figures")
    (run / "figures").write_text("no folder")
    with pytest.raises(RunError, match=r"figures: .*choose another path"):
        publish(Results.load(run))
