"""The target ref.+s.e. beside 10 % and 1 %, in numbers."""

from __future__ import annotations

import pytest

from hpobench.report.tables.reference_error import reference_error
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks


def said(folder, *references, default=(0.3, 0.3), loss=0.2):
    """Of a task with a seed for each pair of the reference's draws."""
    seeds = range(len(references))
    write_study(folder, searchers=("fds",), seeds=seeds)
    for seed, draws in zip(seeds, references, strict=True):
        write_yardsticks(folder, "digits", seed, default=default, reference=draws)
        write_cell(folder, "digits", "fds", seed, [Point(1.0, loss, loss)])
    return reference_error(Results.load(folder), "digits")


@pytest.mark.parametrize(
    ("draws", "level", "share", "strict"),
    [
        ((0.07, 0.13), "0.03", "15 %", "looser than 10 %"),  # of a default's regret of 0.2
        ((0.09, 0.11), "0.01", "5.0 %", "between 10 % and 1 %"),
        ((0.099, 0.101), "0.001", "0.5 %", "stricter than 1 %"),
        ((0.1, 0.1), "0", "0.0 %", "stricter than 1 %"),
    ],
)
def test_it_is_said_how_strict_the_references_error_is(tmp_path, draws, level, share, strict):
    assert said(tmp_path, draws) == (
        f"ref.+s.e.: a regret of {level}, the reference's standard error on a split:"
        f" {share} of the default's mean regret, 0.2; {strict}."
    )


def test_splits_that_are_not_alike_are_counted(tmp_path):
    sentence = said(tmp_path, (0.07, 0.13), (0.09, 0.11), (0.099, 0.101))
    assert "a regret of 0.0137, " in sentence
    assert sentence.endswith(
        "6.8 % of the default's mean regret, 0.2; looser than 10 % on 1 of 3 splits."
    )


def test_where_the_default_loses_nothing_there_are_no_shares(tmp_path):
    sentence = said(tmp_path, (0.29, 0.33), default=(0.3, 0.3))
    assert sentence.endswith("the default has none, so there are no 10 % and 1 % of it.")


def test_without_a_reference_nothing_is_said(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    assert reference_error(Results.load(tmp_path), "digits") == ""


def test_more_seeds_may_come_to_the_reference_than_to_a_tenth(tmp_path):
    """What made it look wrong: an error that is looser than 10 %."""
    assert "looser than 10 %" in said(tmp_path, (0.07, 0.13), (0.07, 0.13), loss=0.125)  # 12.5 %
    [row] = Results.load(tmp_path).summary().to_dict("records")
    assert (row["reached_10_percent"], row["reached_zero"]) == (0, 2)
