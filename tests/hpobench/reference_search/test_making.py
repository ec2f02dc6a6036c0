"""References made on slices: each training once, on with it after an interrupt, then frozen."""

from __future__ import annotations

import dataclasses
import json
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from hpobench import Results, RunError, StudyError, evaluations, pipeline
from hpobench.reference_search import making, search
from hpobench.reference_search.making import from_table, make_reference, outcome
from hpobench.reference_search.search import Procedure, grid_of
from hpobench.reference_search.target import Target, find_target
from hpobench.references import known
from hpobench.references.known import known_reference
from hpobench.results.json_files import read_json, read_lines, write_json
from hpobench.running import ray_backend, scheduler
from hpobench.running.baseline_runs import missing_baseline_runs
from hpobench.running.cell_run import cell_runs
from hpobench.running.display import Silent
from hpobench.running.faults import Fault
from hpobench.running.progress import Progress
from hpobench.running.run_folder import held
from hpobench.running.scheduler import Interrupted
from hpobench.running.test_metrics import train_fresh
from hpobench.study import Study
from hpobench.study_file import describe, task_hash
from searchers.black_box.grid import GridSearch
from tests.hpobench.ray_cluster import ray_cluster
from tests.hpobench.running.fake_slices import FakeCluster, FakeSlice, Script, never
from trainables.task import Task
from trainables.tasks.synthetic import EIGENVALUES, QUADRATIC, _build, _equal_losses

LOST = Fault("its node died", "node lost")
SMALL = Procedure(evaluations(4), seeds=2, from_grid=3, from_search=2, few=2, short_list=3, fresh=4)
BOWL = dataclasses.replace(
    QUADRATIC,
    name="bowl",
    optimum=None,
    build=partial(_build, EIGENVALUES, 0.3, _equal_losses),  # splits differ by their noise
)
MADE_WHEN = ("began", "created")


class Lending(FakeCluster):
    """Lends its slices again once they are given back."""

    def take(self) -> FakeSlice | None:
        back = [slice_ for slice_ in self.taken if slice_.returned]
        self.taken = [slice_ for slice_ in self.taken if not slice_.returned]
        for slice_ in back:
            slice_.returned = False
        self.free += back
        return super().take()


@pytest.fixture
def slices(monkeypatch: pytest.MonkeyPatch) -> list[FakeSlice]:
    """What the cluster has: one slice, unless a test puts others there."""
    there = [FakeSlice()]
    monkeypatch.setattr(ray_backend, "cluster", lent(there))
    return there


def lent(slices: list[FakeSlice]) -> Callable[..., Any]:
    """A cluster that has these, in the place of Ray's."""

    @contextmanager
    def cluster(study: Study, address: str | None, source: Path | None) -> Iterator[FakeCluster]:
        yield Lending([dataclasses.replace(slice_, returned=False) for slice_ in slices])

    return cluster


@pytest.fixture(autouse=True)
def small_and_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "GRID", GridSearch(learning_rates=2, momenta=2))
    monkeypatch.setattr(scheduler, "WATCH_SECONDS", 0.005)
    monkeypatch.setattr(pipeline, "publish", lambda results, clock: None)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """What is trained: the split, and the configuration."""
    real, seen = making.train_on_split, []

    def counted(task: Task, configuration: Any, seed: int, *rest: Any) -> list[dict[str, Any]]:
        seen.append((seed, json.dumps(configuration)))
        return real(task, configuration, seed, *rest)

    monkeypatch.setattr(making, "train_on_split", counted)
    return seen


def target(folder: Path, task: Task = BOWL) -> Target:
    return Target(task, None, folder / "bowl.json")


def made(folder: Path, procedure: Procedure = SMALL, **more: Any) -> dict[str, Any] | None:
    return make_reference(
        target(folder), procedure, folder / "search", **{"display": Silent(), **more}
    )


def lines(folder: Path) -> list[dict[str, Any]]:
    return read_lines(folder / "search" / "trainings.jsonl").records


def without_times(reference: dict[str, Any] | None) -> dict[str, Any]:
    assert reference is not None
    provenance = {k: v for k, v in reference["provenance"].items() if k not in MADE_WHEN}
    return {**reference, "provenance": provenance}


def test_a_grid_a_search_and_fresh_splits_that_decide(
    tmp_path: Path, slices: list[FakeSlice], trained: list[tuple[int, str]]
) -> None:
    reference = made(tmp_path)
    assert reference == read_json(tmp_path / "bowl.json")
    by_split = Counter(seed for seed, _ in trained)
    grid = len(grid_of(BOWL))
    assert grid == 2 * 2 * 2
    few, deciding = SMALL.few_splits(BOWL), SMALL.fresh_splits(BOWL)
    long = by_split[few[0]]
    assert by_split == {
        **dict.fromkeys(SMALL.search_splits, grid),
        **dict.fromkeys(few, long),
        **dict.fromkeys(deciding, 3),
    }
    assert 3 <= long <= 1 + 3 + 2
    fresh = [line for line in lines(tmp_path) if line["seed"] in deciding]
    means = Counter()
    for line in fresh:
        means[json.dumps(line["hyperparameters"])] += line["validation_loss"] / 4
    best, loss = min(means.items(), key=lambda pair: pair[1])
    assert json.dumps(reference["hyperparameters"]) == best
    provenance = reference["provenance"]
    assert provenance["fresh_validation_loss"] == pytest.approx(loss)
    assert provenance["task_hash"] == task_hash(BOWL)
    assert (reference["schema"], reference["task"], reference["kind"]) == (1, "bowl", "searched")
    assert reference["standard_error"] > 0
    assert {"versions", "hardware", "commit", "created"} <= provenance.keys()
    assert outcome(reference).startswith("searched: test loss ")
    assert known_reference(dataclasses.replace(BOWL, reference=tmp_path / "bowl.json")) == reference


Whole = tuple[dict[str, Any], list[tuple[int, str]]]


@pytest.fixture(scope="module")
def kept() -> list[Whole]:
    """The search that is never interrupted, once it has been made."""
    return []


@pytest.fixture
def whole(
    tmp_path: Path, slices: list[FakeSlice], trained: list[tuple[int, str]], kept: list[Whole]
) -> Whole:
    """The reference of a search that is never interrupted, and what it trained."""
    if not kept:
        kept.append((without_times(made(tmp_path / "whole")), sorted(trained)))
        trained.clear()
    return kept[0]


class Impatient(Silent):
    """Interrupts once, as soon as it is time."""

    def __init__(self, now: Callable[[], bool]) -> None:
        self._now, self.interrupted = now, False

    def refresh(self, progress: Progress) -> None:
        if not self.interrupted and self._now():
            self.interrupted = True
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("after", [1, 5, 9, 16, 18, 20, 24, 29])
def test_an_interrupted_search_goes_on_to_the_same_reference(
    tmp_path: Path,
    slices: list[FakeSlice],
    trained: list[tuple[int, str]],
    whole: Whole,
    after: int,
) -> None:
    expected, all_trainings = whole
    reached, seen = threading.Event(), threading.Event()

    class Slow(FakeSlice):
        def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
            if len(trained) == after and not seen.is_set():
                reached.set()
                seen.wait(300)  # longer than the next look
            return super().call(function, *arguments)

    display = Impatient(lambda: reached.is_set() and (seen.set() or True))
    slices[:] = [Slow()]
    with pytest.raises(Interrupted):
        made(tmp_path / "cut", display=display)
    assert after <= len(trained) <= after + 1  # what was under way has been put down
    assert not (tmp_path / "cut" / "bowl.json").exists()
    slices[:] = [FakeSlice()]
    assert without_times(made(tmp_path / "cut")) == expected
    assert sorted(trained) == all_trainings
    assert len(set(trained)) == len(trained) == len(lines(tmp_path / "cut"))


def test_a_search_interrupted_in_its_study_goes_on(tmp_path: Path, whole: Whole) -> None:
    expected, _ = whole
    run = tmp_path / "cut" / "search" / "search"
    display = Impatient(lambda: len(list(run.glob("cells/*/cell.json"))) > 2)
    with pytest.raises(Interrupted):
        made(tmp_path / "cut", display=display)
    assert not (tmp_path / "cut" / "search" / "trainings.jsonl").exists()
    assert without_times(made(tmp_path / "cut")) == expected


def test_the_same_call_once_it_is_made_trains_nothing_and_says_the_same(
    tmp_path: Path, slices: list[FakeSlice], trained: list[tuple[int, str]]
) -> None:
    first = without_times(made(tmp_path))
    trained.clear()
    assert without_times(made(tmp_path)) == first
    assert trained == []


def test_another_search_does_not_go_on_in_the_same_folder(
    tmp_path: Path, slices: list[FakeSlice]
) -> None:
    made(tmp_path)
    with pytest.raises(RunError, match=r"another reference \(its procedure differs\)"):
        made(tmp_path, dataclasses.replace(SMALL, fresh=5))
    other = dataclasses.replace(BOWL, budgets=(1, 9))
    with pytest.raises(RunError, match="its task_hash differs"):
        make_reference(target(tmp_path, other), SMALL, tmp_path / "search", display=Silent())
    with pytest.raises(RunError, match="is not empty; choose another --folder"):
        make_reference(target(tmp_path), SMALL, tmp_path, display=Silent())
    (tmp_path / "bowl.json").unlink()
    with held(tmp_path / "search"), pytest.raises(RunError, match="another process is at work"):
        made(tmp_path)


def test_a_reference_stays_as_it_is_unless_its_task_is_another_now(
    tmp_path: Path, slices: list[FakeSlice]
) -> None:
    reference = made(tmp_path)
    file, elsewhere = tmp_path / "bowl.json", tmp_path / "again"
    content = file.read_bytes()
    with pytest.raises(StudyError, match="is a reference of bowl already, and stays as it is"):
        make_reference(target(tmp_path), SMALL, elsewhere, display=Silent())
    assert file.read_bytes() == content
    assert not elsewhere.exists()
    assert reference is not None
    reference["provenance"]["task_hash"] = "that of an older bowl"
    write_json(file, reference)
    assert make_reference(target(tmp_path), SMALL, elsewhere, display=Silent()) is not None
    assert read_json(file)["provenance"]["task_hash"] == task_hash(BOWL)


def test_what_machines_fail_time_and_again_is_left_for_the_next_call(
    tmp_path: Path, slices: list[FakeSlice], trained: list[tuple[int, str]]
) -> None:
    class Failing(FakeSlice):
        def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
            if len(trained) == 3 and len(failures) < 3:
                failures.append(1)
                raise LOST
            return super().call(function, *arguments)

    failures: list[int] = []
    slices[:] = [Failing()]
    assert made(tmp_path) is None
    assert not (tmp_path / "bowl.json").exists()
    assert len(trained) == 2 * len(grid_of(BOWL)) - 1  # nothing is chosen from half a grid
    assert made(tmp_path) is not None
    assert len(set(trained)) == len(trained)


def test_a_part_of_the_search_that_machines_failed_is_left_too(
    tmp_path: Path, slices: list[FakeSlice]
) -> None:
    slices[:] = [FakeSlice([Script(gone=LOST)] * 3 + [Script()])]
    assert made(tmp_path) is None
    slices[:] = [FakeSlice()]
    assert made(tmp_path) is not None


def test_the_code_and_machines_of_every_call_are_kept(
    tmp_path: Path, slices: list[FakeSlice], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "commit", lambda: "older")
    slices[:] = [FakeSlice([Script(gone=LOST)] * 3 + [Script()])]
    assert made(tmp_path) is None
    monkeypatch.setattr(making, "commit", lambda: "newer")
    slices[:] = [FakeSlice()]
    reference = made(tmp_path)
    assert reference is not None
    assert reference["provenance"]["commit"] == "newer"
    assert [by["commit"] for by in reference["provenance"]["begun_with"]] == ["older"]


@pytest.mark.ray
@pytest.mark.timeout(1800)  # a machine may be shared with others
def test_on_ray_an_interrupted_search_goes_on_to_the_reference_made_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "SEARCHERS", ("random",))
    procedure = dataclasses.replace(SMALL, seeds=1, few=1, fresh=2)
    with monkeypatch.context() as patch:
        patch.setattr(ray_backend, "cluster", lent([FakeSlice()]))
        expected = without_times(made(tmp_path / "whole", procedure))
    file = tmp_path / "cut" / "search" / "trainings.jsonl"
    shutil.copytree(tmp_path / "whole" / "search", tmp_path / "cut" / "search")
    file.unlink()  # as if nothing had been done but the long search
    display = Impatient(lambda: file.exists() and len(read_lines(file).records) >= 3)
    with ray_cluster(cores=1) as cluster:
        with pytest.raises(Interrupted):
            made(tmp_path / "cut", procedure, display=display, address=cluster.address)
        begun = file.read_bytes()
        assert 3 <= len(lines(tmp_path / "cut")) < len(lines(tmp_path / "whole"))
        again = made(tmp_path / "cut", procedure, address=cluster.address)
    assert without_times(again) == expected
    assert file.read_bytes().startswith(begun)
    names = [
        (line["seed"], json.dumps(line["hyperparameters"])) for line in lines(tmp_path / "cut")
    ]
    assert len(set(names)) == len(names) == len(lines(tmp_path / "whole"))


# Whose reference, and where it goes

STUDY = """
import dataclasses
from hpobench import Study, evaluations
from trainables.tasks import find_task

quadratic = dataclasses.replace(find_task("quadratic"), optimum=None)
mine = dataclasses.replace(quadratic, name="mine")
placed = dataclasses.replace(quadratic, name="placed", reference="placed.json")
solved = dataclasses.replace(find_task("quadratic"), name="solved")
study = Study("two", [mine, placed, solved], ["random"], seeds=1, budget=evaluations(2))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_study.py").write_text(STUDY)
    one = STUDY.replace("[mine, placed, solved]", "[mine]")
    (tmp_path / "one.py").write_text(one)
    return tmp_path


def test_a_task_is_found_by_name_or_in_a_study(place: Path) -> None:
    ready = find_target("mnist", None)
    assert (ready.task.name, ready.source, ready.out) == (
        "mnist",
        None,
        known.FOLDER / "mnist.json",
    )
    own = find_target("my_study.py:mine", Path("mine.json"))
    assert (own.task.name, own.source) == ("mine", Path("my_study.py"))
    assert find_target("one.py", Path("mine.json")).task.name == "mine"
    assert find_target("my_study.py:placed", None).out == Path("placed.json")
    assert find_target(f"{place}/one.py:mine", Path("deep/er/mine.json")).out.name == "mine.json"
    assert not (place / "deep").exists()


MISTAKES: dict[str, tuple[str, str | None, str]] = {
    "no task": ("digts", None, "no task 'digts'. Did you mean digits?"),
    "no file": ("missing.py:mine", "m.json", "missing.py: there is no such file"),
    "which": ("my_study.py", "m.json", "say which task, my_study.py:NAME. There are: mine, placed"),
    "not in it": (
        "my_study.py:mnie",
        "m.json",
        "no task 'mnie' in it. Did you mean my_study.py:mi",
    ),
    "nowhere": ("my_study.py:mine", None, "say where to write the reference of mine: --out"),
    "solved": ("my_study.py:solved", "m.json", "the optimum of solved is known in closed form"),
    "a folder": ("one.py", ".", "--out . is a folder; give the file to write"),
    "in a file": ("one.py", "one.py/m.json", "--out one.py/m.json: Not a directory"),
    "refused": ("one.py", "/proc/m.json", "--out /proc/m.json: "),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_nothing_is_written(place: Path, mistake: str) -> None:
    name, out, said = MISTAKES[mistake]
    before = sorted(place.rglob("*"))
    with pytest.raises(Exception, match=r".") as caught:
        find_target(name, Path(out) if out else None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [p for p in sorted(place.rglob("*")) if "__pycache__" not in str(p)] == before


def test_a_whole_table_is_a_reference_too(place: Path) -> None:
    own = find_target("one.py", Path("mine.json"))
    rows = [own.task.space.flatten(own.task.default) | {"validation_loss": 2.0}]
    rows += [own.task.space.flatten(own.task.initial[0]) | {"validation_loss": 1.0}]
    (place / "table.json").write_text(json.dumps(rows))
    reference = from_table(own, place / "table.json")
    assert outcome(reference).startswith("certified: the smallest mean validation loss of the 2 ")
    task = dataclasses.replace(own.task, reference="mine.json")
    assert known_reference(task) == reference == read_json(place / "mine.json")
    assert reference["hyperparameters"] == own.task.space.flatten(own.task.initial[0])
    with pytest.raises(StudyError, match="stays as it is"):
        from_table(own, place / "table.json")


# What a study does with it


def study_of(task: Task, **changes: Any) -> Study:
    settings: dict[str, Any] = {"seeds": 2, "budget": evaluations(4), "yardstick_draws": 2}
    return Study("small", [task], ["random"], **{**settings, **changes})


def ran(study: Study, folder: Path) -> Results:
    (folder / "cells").mkdir(parents=True)
    write_json(folder / "study.json", describe(study, None))
    runs = cell_runs(study, folder)
    for work in [*missing_baseline_runs(study, folder, runs), *runs]:
        assert work.run(FakeSlice(), never())
    for baseline in missing_baseline_runs(study, folder, runs):
        assert baseline.run(FakeSlice(), never())
    return Results.load(folder)


def written(folder: Path, task: Task, **configuration: float) -> Task:
    """A task with a reference in a file."""
    flat = task.space.flatten(task.default) | configuration
    provenance = {"task_hash": task_hash(task), "created": "2026-01-02T03:04:05+00:00"}
    reference = {"schema": 1, "kind": "searched", "standard_error": 0.1, "hyperparameters": flat}
    write_json(folder / "bowl.json", reference | {"provenance": provenance})
    return dataclasses.replace(task, reference=folder / "bowl.json")


def test_a_study_measures_regret_from_its_task_s_reference(tmp_path: Path) -> None:
    task = written(tmp_path, BOWL, momentum=0.25)
    results = ran(study_of(task), tmp_path / "run")
    assert results.references["bowl"] == read_json(tmp_path / "bowl.json")
    assert results.notes == ()
    rows = results.yardsticks.query("row == 'reference'")
    assert len(rows) == 2 * 2


def test_a_beaten_reference_stays_frozen_and_regret_is_negative(tmp_path: Path) -> None:
    bad = {f"learning_rate_{i}": 20.0 for i in range(9)}
    task = written(tmp_path, BOWL, **bad)
    frozen = read_json(tmp_path / "bowl.json")
    study, run = study_of(task), tmp_path / "run"
    results = ran(study, run)
    summary = results.summary()
    assert (summary["final_regret"] < 0).all()
    missing_baseline_runs(study, run, cell_runs(study, run))
    assert read_json(run / "references.json")["bowl"] == frozen == read_json(tmp_path / "bowl.json")
    # A later and better one does not change what this run is measured from.
    written(tmp_path, BOWL, momentum=0.25)
    missing_baseline_runs(study, run, cell_runs(study, run))
    assert read_json(run / "references.json")["bowl"] == frozen


def test_a_reference_of_another_definition_is_not_used_and_the_results_say_so(
    tmp_path: Path,
) -> None:
    task = written(tmp_path, BOWL)
    changed = dataclasses.replace(task, budgets=(1, 9))
    results = ran(study_of(changed), tmp_path / "run")
    reference = results.references["bowl"]
    assert reference is not None
    assert reference["kind"] == "best observed"
    [note] = results.notes
    assert note.startswith(
        "bowl is measured from the best observed, not from the searched reference of 2026-01-02,"
        " which was made for another definition of bowl"
    )


EMPTY = {"schema": 1, "kind": "searched", "hyperparameters": {}, "provenance": {}}
NO_REFERENCE: dict[str, tuple[Any, str]] = {
    "not there": (None, r"bowl: its reference .*bowl.json is not there; hpobench reference makes"),
    "damaged": ([], "is damaged"),
    "another schema": ({"schema": 9}, "schema 9, and this version reads 1"),
    "no kind": ({"schema": 1}, "lacks 'kind'"),
    "no hash": (EMPTY, "lacks 'task_hash'"),
    "another space": (
        EMPTY | {"provenance": {"task_hash": task_hash(BOWL)}},
        "not a configuration of bowl: missing: learning_rate_0",
    ),
}


@pytest.mark.parametrize("what", NO_REFERENCE)
def test_a_file_that_is_no_reference_is_refused_before_anything_is_run(
    tmp_path: Path, what: str
) -> None:
    content, said = NO_REFERENCE[what]
    task = dataclasses.replace(BOWL, reference=tmp_path / "bowl.json")
    if content is not None:
        (tmp_path / "bowl.json").write_text(json.dumps(content))
    with pytest.raises((StudyError, RunError), match=said) as caught:
        pipeline.run(study_of(task), tmp_path / "run", "off", display=Silent())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_search_does_not_need_the_reference_that_it_makes(place: Path) -> None:
    found = find_target("my_study.py:placed", None)
    assert found.task.reference is None
    assert known_reference(found.task) is None
    assert task_hash(found.task) == task_hash(dataclasses.replace(found.task, reference="x.json"))


def test_a_training_of_a_reference_is_what_a_baseline_run_would_be() -> None:
    configuration = BOWL.space.flatten(BOWL.default)
    [line] = making.train_on_split(BOWL, configuration, 3000, "cpu", 1)
    instance = BOWL.build(3000, torch.device("cpu"))
    validation, test = train_fresh(instance, BOWL, 3000, configuration, draw=0)
    assert line == {"validation_loss": validation.loss, "test_loss": test.loss}
    [other] = making.train_on_split(BOWL, configuration, 3001, "cpu", 1)
    assert other != line
