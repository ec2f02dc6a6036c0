"""What a study is: its cells, their order, its JSON and back."""

from __future__ import annotations

import dataclasses
import json

import pytest

from hpobench import Budget, RunError, Study, StudyError, evaluations, steps
from hpobench.study_file import check_same, describe, rebuild, task_hash
from searchers import FDS, GridSearch, SearcherError, SignDescent
from searchers.hypergradients.forward import Forward
from trainables.tasks import TASKS, find_task


def study(**changes) -> Study:
    settings = {
        "name": "s",
        "tasks": ["digits", "quadratic"],
        "searchers": ["random", FDS(SignDescent(0.05), name="small_fds")],
        "seeds": 3,
        "budget": 5,
    }
    return Study(**{**settings, **changes})


def test_cells_are_every_combination_seed_by_seed_in_a_shuffled_order() -> None:
    cells = study().cells()
    assert len({cell.name for cell in cells}) == len(cells) == 2 * 2 * 3
    assert [cell.seed for cell in cells] == [0] * 4 + [1] * 4 + [2] * 4
    assert [c.name for c in cells] == [c.name for c in study().cells()]
    blocks = [[(c.task.name, c.searcher.name) for c in cells[i : i + 4]] for i in (0, 4, 8)]
    assert any(block != blocks[0] for block in blocks)


def test_back_from_json() -> None:
    small = FDS(SignDescent(0.05), engine=Forward(clamp=1.0), name="small")
    original = study(searchers=["random", small, GridSearch()])
    record = json.loads(json.dumps(describe(original, None)))
    assert rebuild(record) == original


@pytest.mark.parametrize("budget", [Budget(3.5), evaluations(4), steps(900)])
def test_budgets_back_from_json(budget: Budget) -> None:
    assert rebuild(json.loads(json.dumps(describe(study(budget=budget), None)))).budget == budget


def test_another_study_is_told_from_this_one() -> None:
    record = json.loads(json.dumps(describe(study(), None)))
    check_same(study(), record)
    for change in ({"seeds": 4}, {"budget": 6}, {"width": 2}, {"searchers": ["random"]}):
        with pytest.raises(RunError, match=f"its {next(iter(change))} changed"):
            check_same(study(**change), record)


def test_a_tasks_hash_follows_its_definition() -> None:
    digits = find_task("digits")
    assert task_hash(digits) == task_hash(dataclasses.replace(digits, summary="other words"))
    assert task_hash(digits) != task_hash(dataclasses.replace(digits, budgets=(1, 9)))
    assert len({task_hash(task) for task in TASKS.values()}) == len(TASKS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "with space"}, "name"),
        ({"tasks": []}, "at least one task"),
        ({"searchers": []}, "at least one searcher"),
        ({"searchers": ["random", "random"]}, "two searchers are called random"),
        ({"searchers": [object()]}, "is not a searcher"),
        ({"tasks": [object()]}, "is not a Task"),
        ({"seeds": 0}, "seeds"),
        ({"seeds": [1, 1]}, "seeds"),
        ({"budget": -1}, "budget"),
        ({"budget": float("nan")}, "budget"),
        ({"budget": Budget}, "budget"),
        ({"width": 0}, "width"),
        ({"width": 1.5}, "width"),
        ({"gpus": -1}, "gpus"),
        ({"yardstick_draws": 1}, "yardstick_draws"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)


def test_whole_budgets() -> None:
    with pytest.raises(StudyError, match="whole number"):
        Budget(2.5, "evaluations")
    with pytest.raises(SearcherError, match="no searcher 'x'"):
        study(searchers=["x"])


def test_a_searchers_class_is_not_one() -> None:
    with pytest.raises(StudyError, match=r"FDS is a class: give FDS\(\)"):
        Study("a", ["digits"], [FDS], 1, 1)
