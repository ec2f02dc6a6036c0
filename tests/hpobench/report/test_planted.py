"""A study with a known truth: the page names the order, the factors and how sure they are."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest

from hpobench.report.conclusions import answer
from hpobench.report.publishing import publish
from hpobench.report.verification import differences
from hpobench.results.run import Results
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_references,
    write_study,
    write_yardsticks,
)

pytestmark = pytest.mark.usefixtures("one_kind_of_figure")

SEEDS = range(10)
LATER = {"quick": 1.0, "medium": 3.0, "slow": 12.0}
"""How many times as long each takes to come to 1 % of the default's regret."""
ENDS = {"quick": 0.0, "medium": 0.0005, "slow": 0.0015}
"""Regret at the end; 1 % of the default's is 0.002, and seeds differ by 0.0002."""


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each seed has a pace of its own, which its searchers share, and a little of their own."""
    run = tmp_path_factory.mktemp("planted") / "run"
    write_study(run, searchers=("slow", "quick", "medium"), seeds=SEEDS, budget=600.0)
    write_references(run, ["digits"])
    rng = np.random.default_rng(1)
    for seed in SEEDS:
        write_yardsticks(run, "digits", seed, (0.1, 0.1), (0.3, 0.3))
        pace = 4 * rng.lognormal(0, 0.5)
        for searcher, factor in LATER.items():
            when = pace * factor * rng.lognormal(0, 0.2)
            loss = 0.1 + ENDS[searcher] + rng.normal(0, 0.0002)
            points = [Point(0.1 * when, 0.25, 0.25), Point(when, loss, loss)]
            write_cell(run, "digits", searcher, seed, points, wall=600.0)
    publish(Results.load(run))
    return run


def test_the_page_says_who_is_lowest_and_from_whom_that_is_separated(planted: Path) -> None:
    page = (planted / "report.html").read_text()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))
    assert "On digits, quick ended lowest" in text
    assert "correction for 3 pairs, it is lower than medium and slow (p" in text


def test_the_factors_are_in_their_intervals_and_the_intervals_are_narrow(planted: Path) -> None:
    found = " ".join(answer(Results.load(planted), "digits").details)
    for searcher in ("medium", "slow"):
        said = re.search(rf"([\d.]+) \[([\d.]+) to ([\d.]+)\] than {searcher}", found)
        assert said is not None, found
        estimate, low, high = map(float, said.groups())
        assert low < LATER[searcher] < high
        assert low < estimate < high
        assert high / low < 2


def rows_of(page: str, label: str) -> list[list[str]]:
    """The cells of a table on the page, as texts."""
    table = page[page.index(f'aria-label="{label}"') :]
    table = table[: table.index("</table>")]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)[1:]
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in rows]
    return [[html.unescape(re.sub(r"<[^>]*>", "", cell)) for cell in row] for row in cells]


def interval(text: str) -> tuple[float, float, float]:
    """Of 1.2 [0.9 to 1.5]."""
    numbers = re.findall(r"−?[\d.]+(?:e−?\d+)?", text)
    estimate, low, high = (float(number.replace("−", "-")) for number in numbers[:3])
    return estimate, low, high


def test_the_pairs_are_in_their_true_order_and_their_differences_covered(planted: Path) -> None:
    page = (planted / "report.html").read_text()
    rows = rows_of(page, "Pairs of searchers on digits")
    assert [row[0] for row in rows] == [
        *("quick against medium", "quick against slow", "medium against slow")
    ]
    for pair, seeds, difference, p, lower, improvement, since in rows:
        first, second = pair.split(" against ")
        assert (seeds, lower) == ("10", first)
        _, low, high = interval(difference)
        assert low < ENDS[first] - ENDS[second] < high < 0
        assert p == "< 0.001" or float(p) < 0.05
        share, least, most = interval(improvement.replace(" %", ""))
        assert 90 <= share <= 100
        assert 50 < least < share
        assert most == 100
        time, begin, end = interval(since)
        assert 0 <= begin <= time <= end < 300  # long before the budget of 600 s ends


def test_across_seeds_the_order_is_the_true_one_too(planted: Path) -> None:
    rows = rows_of((planted / "report.html").read_text(), "All searchers, across tasks and seeds")
    assert [row[0] for row in rows] == ["quick", "medium", "slow"]
    for searcher, cells, final, area, rank in rows:
        assert cells == "10 of 10"
        estimate, low, high = interval(final)
        assert low < 100 * ENDS[searcher] / 0.2 < high
        assert interval(area)[0] > estimate
        assert float(rank) == pytest.approx([*ENDS].index(searcher) + 1, abs=0.15)


@pytest.mark.slow
def test_it_is_verified_until_a_digit_changes(planted: Path) -> None:
    assert differences(planted) == []
    file = planted / "cells" / "digits__medium__s3" / "evaluations.jsonl"
    whole = file.read_text()
    file.write_text(re.sub(r'("validation_loss": 0\.\d\d)(\d)', _another, whole, count=1))
    found = differences(planted)
    file.write_text(whole)
    assert found[0].startswith("cells/digits__medium__s3/evaluations.jsonl, evaluation 1: valid")
    assert differences(planted) == []


def _another(found: re.Match[str]) -> str:
    return found[1] + str((int(found[2]) + 1) % 10)
