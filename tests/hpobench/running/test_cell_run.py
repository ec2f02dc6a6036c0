"""What becomes of a cell, attempt by attempt: on slices that fail as their scripts say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpobench.errors import RunError
from hpobench.results.json_files import read_json, read_lines
from hpobench.running import cell_run, watchdog
from hpobench.running.cell_run import CellRun, Stopped
from hpobench.running.faults import MACHINES, Cause, Fault
from hpobench.running.interfaces import AttemptUpdate
from tests.hpobench.running.fake_slices import (
    LOSSES,
    STARTED,
    FakeSlice,
    Script,
    cell_run_in,
    never,
)

FAULTY = sorted(MACHINES)


def record(run: CellRun) -> dict[str, Any]:
    return read_json(run.folder / "cell.json")


def history(run: CellRun) -> list[tuple[str, str | None]]:
    """Status and cause of each attempt."""
    return [(attempt["status"], attempt["cause"]) for attempt in record(run)["attempts"]]


def losses(file: Path) -> list[float]:
    return [line["validation_loss"] for line in read_lines(file).records]


def take_further(run: CellRun, *scripts: Script, times: int = 1) -> FakeSlice:
    """Take a cell so many times further on one slice; its attempts are ended in any case."""
    slice_ = FakeSlice(list(scripts) or [Script()])
    settled = [run.run(slice_, never()) for _ in range(times)]
    assert settled == [False] * (times - 1) + [True]
    assert all(attempt.ended for attempt in slice_.attempts)
    return slice_


def test_a_cell_is_measured_and_tested_and_its_file_says_where_and_when(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    slice_ = take_further(run)
    said = record(run)
    assert said["status"] == run.status == "complete"
    assert (said["cause"], said["why"], said["ended"]) == (None, None, "budget")
    assert history(run) == [("ok", None)]
    assert said["slice"]["name"] == "slice 0"
    assert said["started"] == STARTED
    assert said["memory"] == {"host": 1000, "device": None}
    assert said["ledger"]["slots"] == 1
    assert losses(run.evaluations) == list(LOSSES)
    tested = [line["evaluation"] for line in read_lines(run.folder / "tests.jsonl").records]
    assert tested == [0, 2]  # the incumbents
    assert (said["evaluations"], said["tests"]) == (4, 2)
    assert (run.count, run.incumbent) == (4, 0.2)
    [spec] = slice_.specs
    assert (spec.attempt, spec.width, spec.cpus, spec.gpus) == (1, 1, 1, 0)
    assert {p.name for p in run.folder.iterdir()} == {
        "cell.json",
        "evaluations.jsonl",
        "tests.jsonl",
    }


@pytest.mark.parametrize("cause", FAULTY)
@pytest.mark.parametrize("told", [True, False])
def test_a_fault_of_the_machines_voids_the_attempt(
    cause: Cause, told: bool, tmp_path: Path
) -> None:
    """Told by its controller, or by its loss."""
    run, fault = cell_run_in(tmp_path), Fault("a worker was lost: killed", cause)
    script = Script((0.9, 0.8), fault=fault) if told else Script((0.9, 0.8), gone=fault)
    slice_ = FakeSlice([script, Script()])
    assert not run.run(slice_, never())
    assert run.status == record(run)["status"] == "waiting"
    assert run.why == fault.why
    assert not run.evaluations.exists()
    assert run.run(slice_, never())
    assert run.status == "complete"
    assert history(run) == [("void", cause), ("ok", None)]
    assert record(run)["attempts"][0]["why"] == fault.why
    assert losses(run.folder / "attempts/1.jsonl") == [0.9, 0.8]
    assert losses(run.evaluations) == list(LOSSES)
    assert [spec.attempt for spec in slice_.specs] == [1, 2]
    assert all(attempt.ended for attempt in slice_.attempts)


def test_at_most_two_reruns_and_then_it_is_left_for_a_resume(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    scripts = [Script((number / 8,), gone=Fault("gone", "node lost")) for number in range(3)]
    take_further(run, *scripts, times=3)
    assert record(run)["status"] == "interrupted"
    assert (record(run)["cause"], record(run)["why"]) == ("node lost", "gone")
    assert history(run) == [("void", "node lost")] * 3
    again = cell_run_in(tmp_path)
    assert again.status == "interrupted"
    take_further(again)
    assert history(again) == [("void", "node lost")] * 3 + [("ok", None)]
    for number in range(3):
        assert losses(run.folder / f"attempts/{number + 1}.jsonl") == [number / 8]
    assert losses(run.evaluations) == list(LOSSES)


def test_faults_of_different_kinds_are_counted_together(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    causes: list[Cause] = ["training stall", "worker lost", "training stall"]
    take_further(run, *(Script((), gone=Fault("gone", cause)) for cause in causes), times=3)
    assert run.status == "interrupted"


@pytest.mark.parametrize("cause", ["training stall", "out of memory"])
def test_the_third_doubtful_fault_in_a_row_counts_against_the_configuration(
    cause: Cause, tmp_path: Path
) -> None:
    run = cell_run_in(tmp_path)
    take_further(run, Script((0.5,), fault=Fault("no word", cause)), times=3)
    assert run.status == "failed"
    assert history(run) == [("void", cause)] * 2 + [("failed", cause)]
    assert (record(run)["cause"], record(run)["why"]) == (cause, "no word")
    assert losses(run.evaluations) == [0.5]  # what it had measured before is kept


@pytest.mark.parametrize("cause", ["searcher error", "diverged"])
def test_a_fault_of_the_searcher_fails_the_cell_at_once(cause: Cause, tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    take_further(run, Script((0.5, 0.6), fault=Fault("fds failed: no", cause)))
    said = record(run)
    assert (said["status"], said["cause"], said["why"]) == ("failed", cause, "fds failed: no")
    assert history(run) == [("failed", cause)]
    assert said["evaluations"] == 2
    assert "residual" in said["ledger"]
    assert losses(run.evaluations) == [0.5, 0.6]
    assert (run.folder / "log.txt").read_text() == "Traceback …"


def test_a_slot_without_disk_stops_the_study_in_one_line(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    slice_ = FakeSlice([Script((0.5,), fault=Fault("t0.npz: No space left", "disk full"))])
    with pytest.raises(RunError, match=r"t0.npz: No space left; .* hpobench resume .*run$"):
        run.run(slice_, never())
    assert slice_.attempts[0].ended
    assert record(run)["status"] == "interrupted"
    assert history(run) == [("interrupted", "disk full")]
    assert losses(run.evaluations) == [0.5]
    again = cell_run_in(tmp_path)
    take_further(again)
    assert history(again) == [("interrupted", "disk full"), ("ok", None)]


@pytest.mark.parametrize("even_the_record", [False, True])
def test_a_disk_of_the_runners_that_is_full_stops_the_study(
    even_the_record: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, *_: object) -> None:
        raise RunError(f"{path}: No space left on device; free some space there")

    run = cell_run_in(tmp_path)

    def fill() -> None:
        monkeypatch.setattr(cell_run, "write_whole", refuse)
        if even_the_record:
            monkeypatch.setattr(cell_run, "write_json", refuse)

    slice_ = FakeSlice([Script(meanwhile=fill)])
    with pytest.raises(RunError, match=r"npz: No space left"):
        run.run(slice_, never())
    monkeypatch.undo()
    assert slice_.attempts[0].ended
    assert record(run)["status"] == ("running" if even_the_record else "interrupted")
    again = cell_run_in(tmp_path)
    take_further(again)
    cause = "driver lost" if even_the_record else "disk full"
    assert history(again) == [("interrupted", cause), ("ok", None)]
    assert losses(again.evaluations) == list(LOSSES)


def test_an_interrupt_keeps_what_there_is_and_the_cell_is_run_on_resume(tmp_path: Path) -> None:
    run, stop = cell_run_in(tmp_path), never()
    stop.cause = "user interrupt"
    slice_ = FakeSlice([Script((0.5, 0.4), meanwhile=stop.set, last=[AttemptUpdate()])])
    with pytest.raises(Stopped):
        run.run(slice_, stop)
    assert slice_.attempts[0].ended
    assert (record(run)["status"], record(run)["cause"]) == ("interrupted", "user interrupt")
    assert losses(run.evaluations) == [0.5, 0.4]
    again = cell_run_in(tmp_path)
    take_further(again)
    assert history(again) == [("interrupted", "user interrupt"), ("ok", None)]
    assert losses(run.folder / "attempts/1.jsonl") == [0.5, 0.4]
    assert losses(run.evaluations) == list(LOSSES)


def test_interruptions_are_not_counted_among_the_machines_faults(tmp_path: Path) -> None:
    lost = Fault("gone", "worker lost")
    for _ in range(2):
        run, stop = cell_run_in(tmp_path), never()
        slice_ = FakeSlice([Script((), gone=lost), Script((), meanwhile=stop.set, last=[None])])
        assert not run.run(slice_, stop)
        with pytest.raises(Stopped):
            run.run(slice_, stop)
    run = cell_run_in(tmp_path)
    take_further(run, Script((), gone=lost))
    assert run.status == "interrupted"
    assert [status for status, _ in history(run)] == [
        *("void", "interrupted", "void", "interrupted", "void")
    ]


def test_a_cell_whose_runner_was_gone_is_run_again(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    slice_ = FakeSlice([Script((0.5,), gone=KeyboardInterrupt())])  # type: ignore[arg-type]
    with pytest.raises(KeyboardInterrupt):
        run.run(slice_, never())
    assert record(run)["status"] == "running"
    again = cell_run_in(tmp_path)
    take_further(again)
    assert history(again) == [("interrupted", "driver lost"), ("ok", None)]
    assert losses(run.folder / "attempts/1.jsonl") == [0.5]


def test_a_measured_cell_is_tested_without_being_measured_again(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    slice_ = FakeSlice(calls=[Fault("its node died", "node lost")])
    assert not run.run(slice_, never())
    assert record(run)["status"] == "measured"
    assert "tests" not in record(run)
    before = run.evaluations.read_bytes()
    again, other = cell_run_in(tmp_path), FakeSlice()
    assert again.run(other, never())
    assert other.attempts == []
    assert record(again)["status"] == "complete"
    assert record(again)["tests"] == 2
    assert history(again) == [("ok", None)]
    assert again.evaluations.read_bytes() == before
    assert not again.scratch.exists()


def test_a_cell_without_its_record_begins_anew(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    take_further(run)
    (run.folder / "cell.json").unlink()
    again = cell_run_in(tmp_path)
    again.check()
    take_further(again)
    assert losses(again.evaluations) == list(LOSSES)
    assert losses(run.folder / "attempts/1.jsonl") == list(LOSSES)
    assert history(again) == [("interrupted", "driver lost"), ("ok", None)]


def test_a_test_that_is_lost_time_and_again_is_left_for_a_resume(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    slice_ = FakeSlice(calls=[Fault("its node died", "node lost")] * 3)
    assert [run.run(slice_, never()) for _ in range(2)] == [False, False]
    with pytest.raises(Fault, match=f"testing {run.cell.name}: its node died, 3 times"):
        run.run(slice_, never())
    assert (record(run)["status"], record(run)["cause"]) == ("measured", "node lost")
    again = cell_run_in(tmp_path)
    again.check()
    take_further(again)
    assert (record(again)["status"], record(again)["cause"]) == ("complete", None)
    assert record(again)["why"] is None
    assert history(again) == [("ok", None)]


def test_a_controller_lost_before_its_weights_are_fetched_voids_the_attempt(
    tmp_path: Path,
) -> None:
    run = cell_run_in(tmp_path)
    take_further(run, Script(no_weights=Fault("gone", "worker lost")), Script(), times=2)
    assert history(run) == [("void", "worker lost"), ("ok", None)]
    assert losses(run.folder / "attempts/1.jsonl") == list(LOSSES)
    assert record(run)["tests"] == 2


@pytest.mark.parametrize(
    ("last", "cause", "status"),
    [
        (None, "scheduler stall", "waiting"),  # it does not answer
        (AttemptUpdate(quiet=1, doing="nothing"), "scheduler stall", "waiting"),
        (AttemptUpdate(quiet=1, doing="training"), "training stall", "waiting"),
        (AttemptUpdate(quiet=1, doing="thinking"), "searcher error", "failed"),
    ],
)
def test_a_stalled_attempt_is_ended(
    last: AttemptUpdate | None,
    cause: str,
    status: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchdog, "START_SECONDS", 0.0)
    run = cell_run_in(tmp_path, patience=0.05)
    slice_ = FakeSlice([Script((0.5,), last=[last])])
    run.run(slice_, never())
    assert slice_.attempts[0].ended
    assert run.status == status
    assert history(run) == [("failed" if status == "failed" else "void", cause)]


@pytest.mark.parametrize("file", ["evaluations.jsonl", "tests.jsonl"])
@pytest.mark.parametrize("how", ["torn", "short", "gone"])
def test_a_complete_cell_whose_file_was_cut_short_is_run_again(
    file: str, how: str, tmp_path: Path
) -> None:
    run = cell_run_in(tmp_path)
    take_further(run)
    path = run.folder / file
    content = path.read_bytes()
    if how == "gone":
        path.unlink()
    else:
        whole = content[: content.rindex(b"\n", 0, -1) + 1]
        path.write_bytes(content[:-9] if how == "torn" else whole)
    again = cell_run_in(tmp_path)
    again.check()
    assert record(again)["status"] == again.status == "interrupted"
    assert history(again) == [("void", "damaged file")]
    assert file in record(again)["why"]
    once_more = cell_run_in(tmp_path)
    take_further(once_more)
    assert history(once_more) == [("void", "damaged file"), ("ok", None)]
    assert path.read_bytes().count(b"\n") == content.count(b"\n")


@pytest.mark.parametrize("what", ["torn line", "weights"])
def test_a_measured_cell_that_lost_something_is_run_again(what: str, tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    assert not run.run(FakeSlice(calls=[Fault("its node died", "node lost")]), never())
    if what == "weights":
        next(run.scratch.rglob("*.npz")).unlink()
    else:
        run.evaluations.write_bytes(run.evaluations.read_bytes()[:-9])
    again = cell_run_in(tmp_path)
    again.check()
    assert history(again) == [("void", "damaged file")]
    take_further(again)
    assert losses(again.evaluations) == list(LOSSES)


def test_a_measured_cell_that_is_whole_stays_measured(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    assert not run.run(FakeSlice(calls=[Fault("its node died", "node lost")]), never())
    again = cell_run_in(tmp_path)
    again.check()
    assert again.status == "measured"


def test_a_complete_cell_that_is_whole_stays_as_it_is(tmp_path: Path) -> None:
    take_further(cell_run_in(tmp_path))
    run = cell_run_in(tmp_path)
    before = {file: file.read_bytes() for file in run.folder.iterdir()}
    run.check()
    assert run.status == "complete"
    assert {file: file.read_bytes() for file in run.folder.iterdir()} == before


def test_a_file_damaged_elsewhere_is_named_with_its_line(tmp_path: Path) -> None:
    take_further(cell_run_in(tmp_path))
    run = cell_run_in(tmp_path)
    lines = run.evaluations.read_bytes().splitlines(keepends=True)
    run.evaluations.write_bytes(b"".join([lines[0], b"{]\n", *lines[2:]]))
    with pytest.raises(RunError, match=r"evaluations.jsonl, line 2 is damaged"):
        run.check()


def test_a_complete_cell_of_before_lines_were_counted_is_trusted(tmp_path: Path) -> None:
    run = cell_run_in(tmp_path)
    take_further(run)
    said = {k: v for k, v in record(run).items() if k not in ("evaluations", "tests")}
    (run.folder / "cell.json").write_text(json.dumps(said))
    again = cell_run_in(tmp_path)
    again.check()
    assert again.status == "complete"
