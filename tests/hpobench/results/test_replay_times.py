"""How much sooner one comes to another's final replayed loss: laws, and a run done by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench import Results
from hpobench.report.figures.replay import replay_panels
from hpobench.report.page.document import render_report
from hpobench.results.json_files import append_lines, write_json
from hpobench.results.replay_times import ReplayedCurve
from hpobench.statistics.times import Times, speed_up
from tests.hpobench.fake_run import Point, write_cell, write_study, write_yardsticks

SEEDS = tuple(range(6))
FOUND = {"fds": (4.0, 8.0), "random": (10.0, 32.0)}
"""When each searcher's first and second incumbents came."""


def curve(losses: list[float], draws: int = 2) -> ReplayedCurve:
    """One after the other, a second each; every draw alike."""
    table = np.repeat(np.array(losses)[:, None], draws, axis=1)
    return ReplayedCurve(np.arange(len(losses), dtype=float), table)


def reached(curve: ReplayedCurve, end: float, level: float) -> tuple[float, float]:
    return curve.reached(end, np.full(curve.losses.shape[1], level))


def test_a_loss_is_reached_when_it_is_there_to_stay() -> None:
    falling = curve([math.inf, 0.5, 0.2, 0.4, 0.3])
    assert reached(falling, 9.0, 0.45) == (2.0, 2.0)
    assert reached(falling, 9.0, 0.3) == (4.0, 4.0)
    assert reached(falling, 9.0, 0.25) == (9.0, math.inf)
    assert reached(falling, 9.0, math.nan) == (0.0, math.inf)
    assert reached(falling, 9.0, math.inf) == (0.0, math.inf)


def test_what_was_not_trained_again_leaves_the_time_open() -> None:
    assert reached(curve([math.inf, 0.5, math.nan, 0.3]), 9.0, 0.4) == (2.0, 3.0)
    assert reached(curve([math.inf, 0.5, 0.3, math.nan]), 9.0, 0.4) == (2.0, math.inf)
    assert reached(curve([math.inf, math.nan, 0.5]), 9.0, 0.4) == (9.0, math.inf)


def test_of_one_draw_nothing_is_sure_but_that_nothing_was_trained() -> None:
    assert reached(curve([math.inf, 0.5, 0.3], draws=1), 9.0, 0.4) == (1.0, 2.0)


@given(
    losses=st.lists(st.floats(0.0, 1.0), min_size=2, max_size=12),
    levels=st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 1.0)),
)
def test_a_lower_loss_is_reached_no_sooner(
    losses: list[float], levels: tuple[float, float]
) -> None:
    mine = curve([math.inf, *losses])
    lower, upper = (reached(mine, 20.0, level) for level in sorted(levels))
    assert lower[0] >= upper[0]
    assert lower[1] >= upper[1]


@given(
    losses=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12),
    unknown=st.sets(st.integers(1, 12)),
    level=st.floats(0.0, 1.0),
)
def test_what_is_known_of_some_holds_what_all_would_say(
    losses: list[float], unknown: set[int], level: float
) -> None:
    whole = [math.inf, *losses]
    some = [math.nan if place in unknown else loss for place, loss in enumerate(whole)]
    truth, later = reached(curve(whole), 20.0, level)
    low, high = reached(curve(some), 20.0, level)
    assert low <= truth <= high
    assert low <= later <= high


def found_at(when: float, incumbents: int, rng: np.random.Generator) -> ReplayedCurve:
    """Equally good incumbents from a time on, each of five draws with luck of its own."""
    times = np.array([0.0, *(when + np.arange(incumbents))])
    true = np.where(times < when, math.inf, 0.3)
    return ReplayedCurve(times, true[:, None] + rng.normal(0.0, 0.05, (len(times), 5)))


def test_changes_of_incumbents_without_gain_make_nobody_late() -> None:
    """Both are as good from 1 s on: who changes incumbents twelve times is not called later."""
    rng, excluded, studies = np.random.default_rng(1), 0, 200
    for _ in range(studies):
        pairs = [(found_at(1.0, 12, rng), found_at(1.0, 1, rng)) for _ in range(10)]
        slow, fast = (
            Times(*np.array([mine[i].reached(15.0, mine[0].losses[-1]) for mine in pairs]).T)
            for i in (0, 1)
        )
        interval = speed_up(slow, fast).interval
        assert interval is not None
        excluded += not interval[0] <= 1 <= interval[1]
    assert excluded <= 0.05 * studies


def line(seed: int, row: str, loss: float, **names: Any) -> list[dict[str, Any]]:
    """Two draws that come to the same."""
    measured = {"trained_on": "training", "test_loss": loss, "test_accuracy": 0.9}
    named = {"schema": 1, "task": "digits", "seed": seed, "row": row, **names, **measured}
    return [{**named, "draw": draw} for draw in (0, 1)]


def run(folder: Path, every: bool = False) -> Results:
    """Both come to 0.2; ``fds`` four times sooner, and then further."""
    write_study(folder, searchers=("fds", "random"), seeds=SEEDS, budget=40.0)
    asked = {"schema": 1, "at": ["end"], "draws": 2, "every": every, "made": []}
    write_json(folder / "replay.json", asked)
    for seed in SEEDS:
        write_yardsticks(folder, "digits", seed)
        lines = [*line(seed, "reference", 0.1), *line(seed, "default", 0.5)]
        for searcher, (first, second) in FOUND.items():
            points = [Point(first, 0.4, 0.4), Point(second, 0.3, 0.3)]
            write_cell(folder, "digits", searcher, seed, points)
            cell = f"digits__{searcher}__s{seed}"
            names = {"cell": cell, "searcher": searcher, "attempt": 1}
            losses = (0.3, 0.19 if searcher == "fds" else 0.2)
            for number, loss in enumerate(losses):
                lines += line(seed, "incumbent", loss, evaluation=number, **names)
        append_lines(folder / "replay.jsonl", lines)
    return Results.load(folder)


@pytest.mark.slow
def test_one_that_is_four_times_sooner(tmp_path: Path) -> None:
    results = run(tmp_path)
    times = results.replayed_times_to_finals("digits")
    np.testing.assert_array_equal(times["random"]["fds"].high, 8.0)
    np.testing.assert_array_equal(times["random"]["random"].high, 32.0)
    assert times["fds"]["random"].censored == len(SEEDS)
    table = results.replay_times().set_index(["to_final_of", "searcher"])
    fast, slow = table.loc[("random", "fds")], table.loc[("fds", "random")]
    assert (fast["sooner_at_least"], fast["sooner_at_most"]) == pytest.approx((4.0, 4.0))
    assert (fast["sooner_low"], fast["sooner_high"]) == pytest.approx((4.0, 4.0))
    assert (fast["seconds_at_most"], fast["own_seconds_at_most"], fast["seeds"]) == (8.0, 32.0, 6)
    assert (fast["not_reached"], slow["not_reached"]) == (0, 6)
    assert slow["sooner_at_most"] == pytest.approx(8.0 / 40.0)  # at least five times later
    html = render_report(results)
    assert '<th scope="row">random</th><td class="number">4 [4 to 4]</td>' in html


@pytest.mark.slow
def test_the_figure_has_the_replay_of_every_incumbent(tmp_path: Path) -> None:
    results = run(tmp_path, every=True)
    [panel] = replay_panels(results)
    assert [drawn.searcher for drawn in panel.drawn] == ["fds", "random"]
    for drawn, last in zip(panel.drawn, (0.19, 0.2), strict=True):
        assert len(drawn.curves) == len(SEEDS)
        for curve in drawn.curves:
            np.testing.assert_array_equal(curve.times, [0.0, *FOUND[drawn.searcher]])
            np.testing.assert_allclose(curve.values, [0.5 - 0.1, 0.3 - 0.1, last - 0.1])
    assert panel.default == pytest.approx(0.4)
    assert 'data-figure="replay-digits"' in render_report(results)


def test_the_figure_leaves_out_a_cell_of_which_an_incumbent_is_missing(tmp_path: Path) -> None:
    run(tmp_path, every=True)
    lines = (tmp_path / "replay.jsonl").read_text().splitlines(keepends=True)
    gone = [text for text in lines if '"cell": "digits__fds__s2"' not in text or "0.19" in text]
    assert len(gone) == len(lines) - 2
    (tmp_path / "replay.jsonl").write_text("".join(gone))
    [panel] = replay_panels(Results.load(tmp_path))
    assert panel.drawn[0].seeds == (0, 1, 3, 4, 5)
    assert panel.drawn[0].label == "fds (5 of 6)"


def test_without_every_incumbent_there_is_no_figure(tmp_path: Path) -> None:
    assert replay_panels(run(tmp_path)) == []


def test_what_is_not_there_is_not_left_out(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "cells" / "digits__fds__s0" / "cell.json").unlink()
    results = Results.load(tmp_path)
    times = results.replayed_times_to_finals("digits")["random"]["fds"]
    assert (times.low[0], times.high[0]) == (0.0, math.inf)
    [row] = results.replay_times().query("searcher == 'fds'").to_dict("records")
    assert (row["seeds"], row["not_reached"]) == (6, 1)
    assert row["sooner_low"] == 0
