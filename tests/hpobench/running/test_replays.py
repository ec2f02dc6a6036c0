"""Incumbents trained again: which, on which draws, once each, and on with it after an interrupt."""

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from hpobench import Results, RunError, StudyError, pipeline, seconds
from hpobench.pipeline import replay, resume
from hpobench.results.json_files import read_json, read_lines, write_json, write_lines
from hpobench.running import ray_backend, replays, scheduler
from hpobench.running.baseline_runs import missing_baseline_runs
from hpobench.running.cell_run import cell_runs
from hpobench.running.display import Silent
from hpobench.running.faults import Fault
from hpobench.running.progress import Progress
from hpobench.running.replays import REPLAY_DRAWS, Frozen, train_again, training_of
from hpobench.running.run_folder import held
from hpobench.running.scheduler import Interrupted
from hpobench.running.test_metrics import FRESH_DRAWS
from hpobench.study import Study
from hpobench.study_file import describe
from searchers.gradient.hd import HD
from searchers.protocols import Chain
from tests.hpobench.command_line import command
from tests.hpobench.running.fake_slices import FakeCluster, FakeSlice, never, small_study
from trainables.task import Task
from trainables.tasks.digits import DIGITS
from trainables.tasks.synthetic import QUADRATIC

pytestmark = pytest.mark.slow  # they train

CPU = torch.device("cpu")
SHORT = dataclasses.replace(DIGITS, budgets=(1,))
LOST = Fault("its node died", "node lost")


def run_of(study: Study, folder: Path) -> Path:
    """A complete run; evaluations 0 and 2 of each cell were incumbents, at 0.09 s and 0.27 s."""
    (folder / "cells").mkdir(parents=True)
    write_json(folder / "study.json", describe(study, None))
    runs = cell_runs(study, folder)
    for run in runs:
        assert run.run(FakeSlice(), never())
    for baseline in missing_baseline_runs(study, folder, runs):
        assert baseline.run(FakeSlice(), never())
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that stays as it is."""
    return run_of(small_study(seeds=2, budget=seconds(9)), tmp_path_factory.mktemp("made") / "run")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """The same, for one test to go on with."""
    return shutil.copytree(made, tmp_path / "run")


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[FakeSlice]:
    """What the cluster has: one slice, unless a test puts others there."""
    there = [FakeSlice()]

    @contextmanager
    def cluster(study: Study, address: str | None, source: Path | None) -> Iterator[FakeCluster]:
        yield FakeCluster([dataclasses.replace(slice_, returned=False) for slice_ in there])

    monkeypatch.setattr(ray_backend, "cluster", cluster)
    return there


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables alone are written, and what is done is looked for often."""
    monkeypatch.setattr(scheduler, "WATCH_SECONDS", 0.005)
    monkeypatch.setattr(pipeline, "publish", lambda results, clock: results.write() and ())


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, Any, int]]:
    """What is trained again: row, seed, evaluation and draw of each."""
    real, seen = replays.train_again, []

    def counted(
        task: Task, seed: int, frozen: Frozen, draw: int, device: str, threads: int
    ) -> list[dict[str, Any]]:
        seen.append((frozen.row, seed, frozen.names.get("evaluation"), draw))
        return real(task, seed, frozen, draw, device, threads)

    monkeypatch.setattr(replays, "train_again", counted)
    return seen


def lines(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "replay.jsonl").records


def quietly(folder: Path, **asked: Any) -> Results:
    return replay(folder, display=Silent(), **asked)


def test_the_last_incumbents_the_reference_and_the_default_on_common_draws(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    results = quietly(folder, draws=2)
    rows = [("default", None), ("reference", None), ("incumbent", 2)]
    assert trained == [(r, seed, e, d) for d in (0, 1) for seed in (0, 1) for r, e in rows]
    for line in lines(folder):
        assert line["schema"] == 1
        assert line["trained_on"] == "training"  # a quadratic holds nothing out
        assert ("cell" in line) == (line["row"] == "incumbent")
    first = lines(folder)[5]
    assert {
        name: first[name] for name in ("task", "cell", "searcher", "attempt", "evaluation")
    } == {
        "task": "quadratic",
        "cell": "quadratic__random__s1",
        "searcher": "random",
        "attempt": 1,
        "evaluation": 2,
    }
    frame = results.replay()
    assert frame["replay_regret"].notna().all()
    # The optimum is the reference, and the incumbents of these cells are the default.
    assert (frame["test_loss"] == frame["default_loss"]).all()
    assert (frame["reference_loss"] < 1e-20).all()
    assert (folder / "replay.csv").read_text().startswith("task,searcher,at,replay_regret,")


def test_an_incumbent_is_trained_once_however_often_it_was_the_incumbent(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    results = quietly(folder, at=(0.01, 0.1, 0.2, 0.27, 5, math.inf), draws=1)
    incumbents = [(seed, evaluation) for row, seed, evaluation, _ in trained if row == "incumbent"]
    assert sorted(incumbents) == [(0, 0), (0, 2), (1, 0), (1, 2)]
    mine = results.replay().query("seed == 0")
    assert mine["at"].tolist() == ["0.01", "0.1", "0.2", "0.27", "5", "end"]
    assert mine["evaluation"].fillna(-1).tolist() == [-1, 0, 0, 2, 2, 2]
    assert mine["test_loss"].notna().all()


def test_every_incumbent_is_trained_if_asked_for_and_that_is_kept_to(
    folder: Path,
    slices: list[FakeSlice],
    trained: list[tuple[str, int, Any, int]],
) -> None:
    quietly(folder, draws=1)
    assert len(trained) == 6  # for each seed the last incumbent, the reference and the default
    quietly(folder, every=True)
    assert len(trained) == 8  # and evaluation 0
    quietly(folder)
    assert len(trained) == 8
    assert read_json(folder / "replay.json")["every"]


def test_what_is_there_is_not_trained_again(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    quietly(folder, draws=1)
    whole = (folder / "replay.jsonl").read_bytes()
    trained.clear()
    quietly(folder)
    assert trained == []
    assert (folder / "replay.jsonl").read_bytes() == whole
    quietly(folder, draws=2)
    assert {draw for *_, draw in trained} == {1}
    assert (folder / "replay.jsonl").read_bytes().startswith(whole)
    trained.clear()
    quietly(folder, at=(0.1,), draws=1)
    assert [(row, evaluation) for row, _, evaluation, _ in trained] == [("incumbent", 0)] * 4
    asked = read_json(folder / "replay.json")
    assert (asked["at"], asked["draws"]) == ([0.1, "end"], 2)


def test_a_run_of_a_version_whose_modules_were_called_otherwise_goes_on(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    file = folder / "study.json"
    recorded = file.read_text()
    assert '"searchers:RandomSearch"' in recorded
    file.write_text(recorded.replace("searchers:", "searchers.random_search:"))
    older = file.read_bytes()
    shutil.rmtree(folder / "cells" / "quadratic__random__s1")
    resumed = resume(folder, wandb="off", display=Silent())
    assert resumed.cells["status"].tolist() == ["complete", "complete"]
    quietly(folder, draws=1)
    assert len(trained) == 6
    assert file.read_bytes() == older


@pytest.mark.parametrize("how", ["torn", "whole line"])
def test_a_line_that_was_cut_off_is_trained_again_to_the_same_numbers(
    folder: Path, slices: list[FakeSlice], how: str
) -> None:
    quietly(folder, draws=2)
    file = folder / "replay.jsonl"
    whole = file.read_bytes()
    cut = whole[:-20] if how == "torn" else whole[: whole.rindex(b"\n", 0, -1) + 1]
    file.write_bytes(cut)
    results = Results.load(folder)
    assert results.replay()["test_loss"].isna().sum() == 1
    assert any("replay.jsonl was cut off" in note for note in results.notes) == (how == "torn")
    summary = results.replay_summary()
    assert summary[["replay_n", "seeds_complete"]].to_numpy().tolist() == [[1, 2]]
    quietly(folder)
    assert file.read_bytes() == whole


def test_an_interrupted_replay_goes_on_where_it_was(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    third, late = threading.Event(), threading.Event()

    class Slow(FakeSlice):
        def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
            if len(trained) == 3:
                third.set()
                late.wait(300)  # longer than the next look
            return super().call(function, *arguments)

    class Impatient(Silent):
        def refresh(self, progress: Progress) -> None:
            if third.is_set() and not late.is_set():
                late.set()
                raise KeyboardInterrupt

    slices[:] = [Slow()]
    with pytest.raises(Interrupted):
        replay(folder, draws=2, display=Impatient())
    begun = len(lines(folder))
    assert begun == 4  # what was under way has been put down
    assert Results.load(folder).replay()["replay_regret"].notna().sum() == 1
    slices[:] = [FakeSlice()]
    results = quietly(folder)
    assert len(trained) == len(set(trained)) == len(lines(folder)) == 12
    assert results.replay()["replay_regret"].notna().all()


def test_what_machines_fail_time_and_again_is_left(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    slices[:] = [FakeSlice(calls=[LOST, LOST, LOST])]
    results = quietly(folder, draws=1)
    assert len(trained) == 5
    assert results.replay_summary()["replay_n"].tolist() == [1]
    slices[:] = [FakeSlice()]
    assert quietly(folder).replay_summary()["replay_n"].tolist() == [2]


def test_a_cell_that_was_run_again_since_is_replayed_again(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    quietly(folder, draws=1)
    trained.clear()
    cell = folder / "cells" / "quadratic__random__s0"
    again = [line | {"attempt": 2} for line in read_lines(cell / "evaluations.jsonl").records]
    write_lines(cell / "evaluations.jsonl", again)
    assert Results.load(folder).replay()["test_loss"].isna().sum() == 1
    quietly(folder)
    assert trained == [("incumbent", 0, 2, 0)]
    assert Results.load(folder).replay()["test_loss"].notna().all()


def test_a_cell_that_is_not_complete_is_left_out_and_shown(
    folder: Path, slices: list[FakeSlice], trained: list[tuple[str, int, Any, int]]
) -> None:
    file = folder / "cells" / "quadratic__random__s0" / "cell.json"
    write_json(file, read_json(file) | {"status": "failed"})
    results = quietly(folder, draws=1)
    assert [seed for row, seed, *_ in trained if row == "incumbent"] == [1]
    frame = results.replay()
    assert frame[["seed", "status"]].to_numpy().tolist() == [[0, "failed"], [1, "complete"]]
    assert frame["test_loss"].isna().tolist() == [True, False]
    [row] = results.replay_summary().to_dict("records")
    assert (row["replay_n"], row["seeds_complete"], row["seeds_planned"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"at": (60.0,)}, "a replay at 60 s: the budget ended at 9 s; for its end, say end"),
        ({"at": (0.0,)}, "a replay is at seconds above 0, or at the end, not at 0"),
        ({"at": (math.nan,)}, "a replay is at seconds above 0, or at the end, not at nan"),
        ({"draws": 0}, "a replay has a whole number of draws, at least 1, not 0"),
    ],
)
def test_what_makes_no_sense_is_refused_and_not_written(
    folder: Path, asked: dict[str, Any], what: str
) -> None:
    with pytest.raises(StudyError, match=what):
        quietly(folder, **asked)
    assert not (folder / "replay.json").exists()


def test_a_folder_that_is_no_run_or_at_work_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run"):
        quietly(tmp_path / "elsewhere")
    with held(folder), pytest.raises(RunError, match="another process is at work"):
        quietly(folder)


def test_a_run_that_nobody_replayed_says_so(folder: Path) -> None:
    results = Results.load(folder)
    assert results.replays is None
    with pytest.raises(RunError, match="nothing was trained again; hpobench replay"):
        results.replay()
    assert "replay.csv" not in {file.name for file in results.write()}


def trained_once(
    task: Task, seed: int, what: Frozen, draw: int, device: str = "cpu", threads: int = 1
) -> dict[str, Any]:
    [outcome] = train_again(task, seed, what, draw, device, threads)
    return outcome


def frozen(configuration: dict[str, Any], learned: dict[str, Any] | None = None) -> Frozen:
    return Frozen("incumbent", configuration, learned or {}, {})


def test_draws_are_fresh_and_the_same_for_all() -> None:
    default, initial = (
        DIGITS.space.flatten(nested) for nested in (DIGITS.default, DIGITS.initial[0])
    )

    def loss(configuration: dict[str, Any], seed: int, draw: int) -> float:
        return trained_once(SHORT, seed, frozen(configuration), draw)["test_loss"]

    once = loss(default, 0, 0)
    assert loss(default, 0, 0) == once
    others = [loss(default, 0, 1), loss(default, 1, 0), loss(initial, 0, 0)]
    assert once not in others
    problem = SHORT.build(0, CPU).inner
    numbers = [first + n for first in (0, FRESH_DRAWS, REPLAY_DRAWS) for n in range(20)]
    start = [problem.draw(number).initial().vector for number in numbers]
    assert len({tuple(vector[:20].tolist()) for vector in start}) == 60


def test_a_replay_trains_as_many_epochs_on_all_the_training_data() -> None:
    """By hand, with torch's own optimizer."""
    task = dataclasses.replace(DIGITS, budgets=(1, 2))
    configuration = DIGITS.space.flatten(DIGITS.default)
    outcome = trained_once(task, 2, frozen(configuration), 1)
    assert outcome["trained_on"] == "training and validation"
    made = DIGITS.build(2, CPU)
    assert made.full is not None
    problem = made.full()
    draw = problem.draw(2_000_001)
    vector, buffers = draw.initial()
    weights = torch.nn.Parameter(vector.clone())
    optimizer = torch.optim.SGD([weights], lr=0.055, momentum=0.9, weight_decay=1e-5)
    for step in range(2 * 43):
        optimizer.zero_grad()
        problem.training_loss(weights, buffers, draw.batch(step)).backward()
        optimizer.step()
    tested = made.test(draw.initial()._replace(vector=weights.detach()))
    assert outcome["test_loss"] == pytest.approx(tested.loss, rel=1e-3)
    assert outcome["test_accuracy"] == pytest.approx(tested.accuracy, abs=0.006)


def test_more_data_help() -> None:
    part = dataclasses.replace(SHORT, build=without_full)
    default = frozen(DIGITS.space.flatten(DIGITS.default))
    on_all, on_part = (
        [trained_once(task, seed, default, 0)["test_loss"] for seed in range(4)]
        for task in (SHORT, part)
    )
    assert sum(on_all) < sum(on_part)
    assert trained_once(part, 0, default, 0)["trained_on"] == "training"


def without_full(seed: int, device: torch.device) -> Any:
    return dataclasses.replace(DIGITS.build(seed, device), full=None)


def test_hd_is_replayed_with_the_schedule_that_it_learned() -> None:
    problem, brief = DIGITS.build(0, CPU).inner, DIGITS.brief(0, 1)
    found = next(HD(multiplicative_beta=(0.1, 0.9)).search(problem, brief, Chain()))
    learned = json.loads(json.dumps(found.notes["schedule"]))
    by_step = trained_once(DIGITS, 0, frozen(dict(found.configuration), learned), 0)
    by_window = trained_once(DIGITS, 0, frozen(dict(found.configuration)), 0)
    assert by_step["test_loss"] != by_window["test_loss"]
    assert by_step["test_loss"] == pytest.approx(by_window["test_loss"], rel=0.5)


def test_the_note_of_an_evaluation_is_what_is_replayed(
    folder: Path, slices: list[FakeSlice], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = folder / "cells" / "quadratic__random__s0" / "evaluations.jsonl"
    exact = list(QUADRATIC.space.flatten(QUADRATIC.optimum or {}).values())[:-1]
    noted = [
        line | {"notes": {"schedule": {"learning_rate": exact, "momentum": [0.0] * len(exact)}}}
        for line in read_lines(file).records
    ]
    write_lines(file, noted)
    frame = quietly(folder, draws=1).replay()
    assert frame["test_loss"].tolist()[0] < 1e-20 < frame["test_loss"].tolist()[1]
    write_lines(file, [line | {"notes": {"schedule": [1.0]}, "attempt": 2} for line in noted])
    with pytest.raises(StudyError, match="quadratic__random__s0: evaluation 2 has a note"):
        quietly(folder)


def test_a_diverged_replay_counts_as_the_ceiling() -> None:
    wild = DIGITS.space.flatten(DIGITS.default) | {"momentum": 0.99}
    wild |= {name: 3.0 for name in wild if name.startswith("learning_rate")}
    task = dataclasses.replace(DIGITS, loss_ceiling=0.5)
    assert trained_once(task, 0, frozen(wild), 0)["test_loss"] == 0.5


def test_a_training_that_raises_is_one_line(folder: Path) -> None:
    study = small_study(seeds=2, budget=seconds(9))
    what = Frozen("incumbent", {"learning_rate_0": 1.0}, {}, {"cell": "quadratic__random__s0"})
    training = training_of(study, folder, QUADRATIC, 0, what, 0)
    with pytest.raises(StudyError, match=r"replaying quadratic__random__s0: KeyError"):
        training.run(FakeSlice(), never())
    assert not training.done
    assert not (folder / "replay.jsonl").exists()


def test_a_run_without_a_reference_has_losses_and_no_regret(
    tmp_path: Path, slices: list[FakeSlice], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_of(small_study(seeds=1, budget=seconds(9)), tmp_path / "run")
    write_json(folder / "references.json", {"quadratic": None})
    results = quietly(folder, draws=2)
    assert {line["row"] for line in lines(folder)} == {"default", "incumbent"}
    [row] = results.replay_summary().to_dict("records")
    assert row["replay_n"] == 1
    assert math.isnan(row["replay_regret"])
    assert row["replay_test_loss"] > 0
    assert pd.isna(results.replay()["reference_loss"]).all()


@pytest.mark.ray
@pytest.mark.timeout(1800)  # a machine may be shared with others
def test_the_command_replays_on_a_ray_of_its_own(folder: Path) -> None:
    done = command("replay", folder, "--at", "0.1,end", "--draws", "1")
    assert done.returncode == 0, done.stderr
    assert "small: 8 of 8 replays done" in done.stdout
    assert "quadratic at 0.1 s: trained on training data" in done.stdout
    by_ray = lines(folder)
    assert len(by_ray) == 8
    again = trained_once(
        QUADRATIC, 1, frozen(QUADRATIC.space.flatten(QUADRATIC.default)), 0, "cpu", 1
    )
    [default] = [line for line in by_ray if (line["row"], line["seed"]) == ("default", 1)]
    assert default["test_loss"] == again["test_loss"]
