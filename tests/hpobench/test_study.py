"""What a study is: its cells, their order, its JSON and back."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hpobench import Budget, RunError, Study, StudyError, evaluations, steps
from hpobench.results.json_files import read_json
from hpobench.study_file import (
    check_same,
    class_name,
    describe,
    find_class,
    rebuild,
    task_hash,
)
from searchers import FDS, SEARCHERS, GridSearch, SearcherError, SignDescent
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Stored
from searchers.protocols import Brief, Suggester
from trainables.tasks import TASKS, find_task


@dataclass(frozen=True)
class Own:
    """A user's searcher, which checks nothing."""

    alpha: Any = 0.5
    name: str = "own"

    def suggester(self, brief: Brief) -> Suggester:
        raise NotImplementedError


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


@pytest.mark.parametrize("of", [np.int64, np.float64, torch.tensor, np.array])
def test_numbers_of_other_libraries_are_recorded_as_plain_ones(of: Callable[[int], Any]) -> None:
    whole = np.int64 if of is np.float64 else of
    made = study(
        searchers=[Own(of(3)), GridSearch(learning_rates=whole(5))],
        seeds=whole(2),
        budget=of(30),
        width=whole(2),
        cpus=whole(1),
        patience=of(600),
        yardstick_draws=whole(3),
    )
    plain = study(
        searchers=[Own(3), GridSearch(learning_rates=5)],
        seeds=2,
        budget=30,
        width=2,
        patience=600,
        yardstick_draws=3,
    )
    record = json.loads(json.dumps(describe(made, None)))
    assert rebuild(record) == rebuild(json.loads(json.dumps(describe(plain, None)))) == plain
    check_same(plain, record)
    assert rebuild(record).searchers[0] == Own(3)
    assert study(seeds=np.arange(2)).seeds == study(seeds=torch.arange(2)).seeds == (0, 1)
    for one in (np.array([3]), torch.tensor([3]), [np.int64(3)]):
        assert study(seeds=one).seeds == (3,)


def test_another_study_is_told_from_this_one() -> None:
    record = json.loads(json.dumps(describe(study(), None)))
    check_same(study(), record)
    changes = ({"seeds": 4}, {"budget": 6}, {"budget": steps(5)}, {"width": 2})
    for change in (*changes, {"searchers": ["random"]}):
        with pytest.raises(RunError, match=f"its {next(iter(change))} changed"):
            check_same(study(**change), record)


def older() -> dict[str, Any]:
    """A ``study.json`` as a version wrote it whose classes were in other modules."""
    return read_json(Path(__file__).parent / "study_of_an_older_version.json")


def test_a_study_of_an_older_version_goes_on_though_its_classes_have_moved() -> None:
    again = rebuild(older())
    assert again.searchers == (
        *SEARCHERS.values(),
        FDS(SignDescent(), engine=Stored(), name="fds_stored"),
    )
    check_same(again, older())


def test_a_study_of_an_older_version_is_told_from_another_one() -> None:
    other = older()
    [*_, fds] = other["searchers"]
    fds["settings"]["outer"]["class"] = "searchers.outer:AdamDescent"
    with pytest.raises(RunError, match="its searchers changed"):
        check_same(rebuild(older()), other)
    fds["class"] = "searchers.elsewhere:Gone"
    with pytest.raises(RunError, match=r"searcher fds_stored: searchers\.elsewhere:Gone cannot be"):
        rebuild(other)


def test_classes_are_recorded_by_the_face_that_exports_them() -> None:
    recorded = describe(study(searchers=["fds"]), None)["searchers"][0]
    assert recorded["class"] == "searchers:FDS"
    assert recorded["settings"]["outer"]["class"] == "searchers:SignDescent"
    own = type("Own", (), {"__module__": __name__})
    assert class_name(own) == f"{__name__}:Own"
    assert find_class("searchers.fds:FDS") is find_class("searchers:FDS") is FDS
    with pytest.raises(ImportError):
        find_class("elsewhere.fds:FDS")


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
        ({"yardstick_draws": 2.5}, "yardstick_draws"),
        ({"seeds": 2.0}, "seeds"),
        ({"seeds": True}, "seeds"),
        ({"seeds": "01"}, "seeds"),
        ({"seeds": [0, 1.0]}, "seeds"),
        ({"seeds": np.array([0.5, 1.5])}, "seeds"),
        ({"width": True}, "width"),
        ({"gpus": math.inf}, "gpus"),
        ({"patience": math.inf}, "patience"),
        ({"patience": math.nan}, "patience"),
        ({"budget": torch.tensor(math.inf)}, "budget"),
        ({"budget": np.ones(2)}, "budget"),
        ({"searchers": [Own(math.inf)]}, "alpha of own is not finite"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(changes: dict, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        study(**changes)
    assert "\n" not in str(caught.value)


def test_two_cells_of_one_name_are_refused() -> None:
    tasks = [dataclasses.replace(find_task("quadratic"), name=name) for name in ("a", "a__b")]
    with pytest.raises(StudyError, match="two cells would be called a__b__c: rename one"):
        study(tasks=tasks, searchers=[GridSearch(name="c"), GridSearch(name="b__c")])


def test_whole_budgets() -> None:
    with pytest.raises(StudyError, match="whole number"):
        Budget(2.5, "evaluations")
    with pytest.raises(SearcherError, match="no searcher 'x'"):
        study(searchers=["x"])


def test_a_searchers_class_is_not_one() -> None:
    with pytest.raises(StudyError, match=r"FDS is a class: give FDS\(\)"):
        Study("a", ["digits"], [FDS], 1, 1)
