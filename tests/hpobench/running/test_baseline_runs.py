"""Baseline runs of a study: which are missing, and what becomes of those that machines fail."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from hpobench.budget import evaluations
from hpobench.references import known
from hpobench.results.json_files import read_json, read_lines, write_json
from hpobench.running import baseline_runs
from hpobench.running.baseline_runs import missing_baseline_runs
from hpobench.running.cell_run import cell_runs
from hpobench.running.faults import Fault
from hpobench.running.training import Training
from hpobench.study import Study
from hpobench.study_file import task_hash
from tests.hpobench.running.fake_slices import FakeSlice, never, small_study
from trainables.tasks import find_task

LOST = Fault("a worker was lost: killed", "worker lost")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run" / "cells").mkdir(parents=True)
    return tmp_path / "run"


@pytest.fixture
def unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task has a reference of its own."""
    monkeypatch.setattr(baseline_runs, "known_reference", lambda task: None)


def missing(study: Study, folder: Path) -> list[Training]:
    return missing_baseline_runs(study, folder, cell_runs(study, folder))


def drawn(folder: Path) -> list[tuple[str, int]]:
    lines = read_lines(folder / "yardsticks.jsonl").records
    return [(line["row"], line["draw"]) for line in lines]


def test_a_baseline_run_that_is_lost_is_tried_again_and_left_after_the_third_time(
    folder: Path,
) -> None:
    study = small_study()
    [baseline] = missing(study, folder)
    slice_ = FakeSlice(calls=[LOST, LOST, LOST])
    assert [baseline.run(slice_, never()) for _ in range(2)] == [False, False]
    with pytest.raises(Fault, match=r"default and reference of quadratic on seed 0: .*, 3 times"):
        baseline.run(slice_, never())
    [again] = missing(study, folder)
    assert again.run(FakeSlice(), never())
    assert sorted(drawn(folder)) == [(row, d) for row in ("default", "reference") for d in (0, 1)]
    assert missing(study, folder) == []


def test_only_draws_that_are_missing_are_trained(folder: Path) -> None:
    study = small_study()
    [baseline] = missing(study, folder)
    baseline.run(FakeSlice(), never())
    file = folder / "yardsticks.jsonl"
    whole = file.read_text().splitlines(keepends=True)
    file.write_text("".join(whole[:-1]))
    [again] = missing(study, folder)
    again.run(FakeSlice(), never())
    assert file.read_text() == "".join(whole)


def test_the_best_observed_is_the_reference_once_every_cell_has_come_to_its_end(
    folder: Path, unknown: None
) -> None:
    study = small_study(seeds=2)
    for baseline in missing(study, folder):
        baseline.run(FakeSlice(), never())
    first, second = cell_runs(study, folder)
    first.run(FakeSlice(), never())
    assert missing(study, folder) == []
    assert read_json(folder / "references.json") == {"quadratic": None}
    second.run(FakeSlice(), never())
    assert len(missing(study, folder)) == 2  # also in a runner that did not see them end
    assert read_json(folder / "references.json")["quadratic"]["kind"] == "best observed"


def test_a_reference_for_another_definition_of_the_task_is_not_used_and_that_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = dataclasses.replace(find_task("quadratic"), optimum=None)
    study = Study("small", [task], ["random"], seeds=1, budget=evaluations(2), yardstick_draws=2)
    written = {"schema": 1, "kind": "searched"}
    written |= {"hyperparameters": task.space.flatten(task.default)}
    provenance = {"task_hash": task_hash(task), "created": "2026-01-02T03:04:05+00:00"}
    monkeypatch.setattr(known, "FOLDER", tmp_path)
    write_json(tmp_path / "quadratic.json", written | {"provenance": provenance})
    assert known.known_reference(task)["kind"] == "searched"
    changed = dataclasses.replace(task, budgets=(1, 2, 3))
    study = dataclasses.replace(study, tasks=(changed,))
    [run] = cell_runs(study, folder)
    run.run(FakeSlice(), never())
    missing(study, folder)
    reference = read_json(folder / "references.json")["quadratic"]
    assert reference["kind"] == "best observed"
    assert reference["provenance"]["instead_of"].startswith(
        "the searched reference of 2026-01-02, which was made for another definition of quadratic"
    )
