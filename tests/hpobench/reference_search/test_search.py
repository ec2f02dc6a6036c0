"""The grid, the lists and the winner, as functions of losses."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hpobench import StudyError, evaluations
from hpobench.reference_search.search import (
    GRID,
    Procedure,
    best_first,
    best_of_search,
    distinct,
    grid_of,
    key_of,
    kin,
    long_list,
    losses_of,
    searched,
    winner,
)
from searchers.space import Flat, Float, Space, Vector
from trainables.task import Task
from trainables.tasks import TASKS
from trainables.tasks.digits import DIGITS, DIGITS_WEAK_PRIOR
from trainables.tasks.synthetic import NOISY_QUADRATIC

LOSSES = arrays(
    float,
    st.tuples(st.integers(2, 6), st.integers(2, 5)),
    elements=st.floats(0, 10, allow_subnormal=False),
)


def named(count: int) -> list[Flat]:
    return [{"learning_rate": float(i)} for i in range(count)]


def changed(space: dict[str, Any], default: dict[str, Any]) -> Task:
    parts: dict[str, Any] = {"space": Space(space), "default": default, "initial": (default,)}
    return dataclasses.replace(DIGITS, name="other", **parts)


@pytest.mark.parametrize(
    "task", [t for t in TASKS.values() if t.optimum is None], ids=lambda task: task.name
)
def test_a_grid_lies_in_the_space_tied_or_decayed_twice(task: Task) -> None:
    grid = grid_of(task)
    assert len({key_of(point) for point in grid}) == len(grid)
    shapes = set()
    for point in grid:
        rates = np.array(task.space.nest(task.space.check(point))["learning_rate"])
        drops = rates[1:] / rates[:-1]
        assert (drops <= 1).all()
        shapes.add(int((drops < 1).sum()))
    assert shapes <= {0, 1, 2}  # near the range's low end, a decay is cut off
    assert {0, 2} <= shapes
    levels = {name: {point[name] for point in grid} for name in ("momentum", "weight_decay")}
    assert len(levels["momentum"]) == GRID.momenta
    assert len(levels["weight_decay"]) == GRID.weight_decays
    assert len({point["learning_rate_0"] for point in grid}) == GRID.learning_rates


def test_what_is_not_on_the_grid_has_the_task_s_default() -> None:
    task = changed(
        {"learning_rate": Float(0.1, 1.0), "dampening": Float(0.0, 1.0)},
        {"learning_rate": 0.5, "dampening": 0.25},
    )
    grid = grid_of(task)
    assert {point["dampening"] for point in grid} == {0.25}
    assert len(grid) == GRID.learning_rates  # one rate cannot fall
    assert all([*point] == ["learning_rate", "dampening"] for point in grid)
    assert grid_of(changed({"dampening": Float(0.0, 1.0)}, {"dampening": 0.25})) == []


@given(losses=LOSSES, seed=st.integers(0, 9))
def test_the_best_by_their_means_come_first(losses: np.ndarray, seed: int) -> None:
    configurations = named(len(losses))
    ordered = best_first(configurations, losses)
    assert sorted(map(key_of, ordered)) == sorted(map(key_of, configurations))
    means = {key_of(c): row.mean() for c, row in zip(configurations, losses, strict=True)}
    in_order = [means[key_of(c)] for c in ordered]
    assert in_order == sorted(in_order)


@given(losses=LOSSES, more=st.floats(-5, 5))
def test_the_winner_is_the_best_by_validation_whatever_it_tests_at(
    losses: np.ndarray, more: float
) -> None:
    configurations = named(len(losses))
    test = -losses + more
    best = winner(configurations, losses, test)
    row = configurations.index(best.configuration)
    assert best.validation_loss == losses.mean(axis=1).min() == losses[row].mean()
    assert best.test_loss == test[row].mean()
    assert best.test_error == pytest.approx(
        np.std(test[row], ddof=1) / math.sqrt(losses.shape[1]), abs=1e-12
    )
    others = np.delete(losses.mean(axis=1), row)
    assert best.margin == pytest.approx(others.min() - best.validation_loss, abs=1e-9)
    assert best.margin >= -1e-12


def test_fresh_splits_take_the_luck_out_of_a_minimum() -> None:
    """Of equally good configurations the best of one split looks better than it is; fresh, not."""
    stream, first, again = np.random.default_rng(0), [], []
    configurations = named(40)
    for _ in range(300):
        long = stream.normal(1.0, 0.1, (40, 4))
        short = best_first(configurations, long)[:10]
        validation, test = stream.normal(1.0, 0.1, (2, 10, 20))
        best = winner(short, validation, test)
        first.append(long.mean(axis=1).min())
        again.append(best.test_loss)
    assert np.mean(first) < 0.92
    assert np.mean(again) == pytest.approx(1.0, abs=4 * 0.1 / math.sqrt(20 * 300))


@given(losses=LOSSES, order=st.randoms(use_true_random=False), cut=st.integers(0, 3))
def test_losses_are_read_from_lines_in_any_order_and_missing_ones_are_nan(
    losses: np.ndarray, order: Any, cut: int
) -> None:
    configurations = named(len(losses))
    splits = range(7, 7 + losses.shape[1])
    lines = [
        {"seed": seed, "hyperparameters": c, "validation_loss": losses[i, j]}
        for i, c in enumerate(configurations)
        for j, seed in enumerate(splits)
    ]
    order.shuffle(lines)
    gone = {(line["seed"], key_of(line["hyperparameters"])) for line in lines[:cut]}
    found = losses_of(lines[cut:], configurations, splits, "validation_loss")
    assert found.shape == losses.shape
    for i, c in enumerate(configurations):
        for j, seed in enumerate(splits):
            if (seed, key_of(c)) in gone:
                assert math.isnan(found[i, j])
            else:
                assert found[i, j] == losses[i, j]
    assert losses_of(lines, [], splits, "validation_loss").shape == (0, len(splits))


def test_every_split_has_its_share_of_the_best_of_a_search() -> None:
    rows = [(0, 5.0, "a"), (0, 6.0, "b"), (1, 0.5, "c"), (1, 0.6, "d"), (1, 0.4, "a")]
    rows += [(0, 1.0, "diverged"), (0, 1.0, "half")]
    table = pd.DataFrame(rows, columns=["seed", "validation_loss", "name"])
    table["full"], table["status"] = table["name"] != "half", "ok"
    table.loc[table["name"] == "diverged", "status"] = "diverged"
    table["hyperparameters"] = [{"x": name} for name in table["name"]]
    assert [flat["x"] for flat in best_of_search(table)] == ["a", "b", "c", "d"]


def test_the_long_list_holds_the_default_the_kin_and_both_shares_once() -> None:
    procedure = Procedure(evaluations(1), from_grid=2, from_search=1)
    default = DIGITS.space.flatten(DIGITS.default)
    grid = grid_of(DIGITS)
    found = long_list(DIGITS, procedure, [default, *grid], [grid[0], grid[1]])
    assert found == [default, *kin(DIGITS), grid[0]]
    assert long_list(NOISY_QUADRATIC, procedure, [], []) == [
        NOISY_QUADRATIC.space.flatten(NOISY_QUADRATIC.default)
    ]


def test_kin_are_references_of_the_same_training_that_fit() -> None:
    [other] = kin(DIGITS_WEAK_PRIOR)
    assert DIGITS_WEAK_PRIOR.space.check(other) == other
    assert kin(NOISY_QUADRATIC) == []


def test_distinct_keeps_the_first_of_equals() -> None:
    assert distinct([{"a": 1, "b": 2}, {"a": 2}, {"b": 2, "a": 1}]) == [{"b": 2, "a": 1}, {"a": 2}]


def test_what_a_reference_says_of_its_search() -> None:
    procedure = Procedure(evaluations(5), seeds=2, few=3, fresh=4)
    best = winner(named(3), np.array([[1.0, 2.0], [1.0, 3.0], [2.0, 4.0]]), np.ones((3, 2)))
    reference = searched(best, procedure, evaluations=80, on_grid=270, candidates=12)
    assert (reference["kind"], reference["hyperparameters"]) == ("searched", named(1)[0])
    assert reference["standard_error"] == 0.0
    how = reference["provenance"]["how"]
    for words in ("270 configurations", "80 evaluations", "5 evaluations each", "on 2 splits"):
        assert words in how
    assert reference["provenance"]["runner_up_above_by"] == 0.5


@pytest.mark.parametrize("changes", [{"seeds": 0}, {"fresh": 1}, {"seeds": 1001}, {"few": 0}])
def test_a_procedure_that_makes_no_sense_is_refused(changes: dict[str, int]) -> None:
    with pytest.raises(StudyError, match=f"{next(iter(changes))} is at least"):
        Procedure(**changes)  # type: ignore[arg-type]


def test_no_stage_chooses_on_a_split_that_another_has_seen() -> None:
    procedure = Procedure(seeds=1000, few=1000, fresh=1000)
    tasks = (DIGITS, DIGITS_WEAK_PRIOR)  # one training: each is a candidate for the other
    fresh = [of(task) for task in tasks for of in (procedure.few_splits, procedure.fresh_splits)]
    assert len(set().union(procedure.search_splits, *fresh)) == 5000
    assert procedure.study(DIGITS).seeds == tuple(procedure.search_splits)


def test_a_vector_of_one_rate_is_a_grid_of_single_rates() -> None:
    task = changed({"learning_rate": Vector(1, Float(0.1, 1.0))}, {"learning_rate": (0.5,)})
    assert len(grid_of(task)) == GRID.learning_rates
