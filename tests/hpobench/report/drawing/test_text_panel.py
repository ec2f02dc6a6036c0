"""Regret in letters: what stands where, and that it fits."""

import numpy as np
import pytest

from hpobench.report.drawing.panel import panel_of
from hpobench.report.drawing.text_panel import MARKS, ROWS, WIDTH, text_panel
from hpobench.results.run import Results
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks
from tests.hpobench.report.figures.text_boxes import TWELVE


def lines_of(results, clock="seconds"):
    return text_panel(panel_of(results, "digits", clock=clock), clock).plain.splitlines()


@pytest.mark.parametrize("seeds", [1, 2, 6])
@pytest.mark.parametrize("searchers", [TWELVE[:1], TWELVE[:6], TWELVE])
@pytest.mark.parametrize("without", [(), ("digits",)])
def test_it_fits_and_names_who_is_in_front_each_on_a_row_of_its_own(
    tmp_path, seeds, searchers, without
):
    run = write_run(tmp_path, searchers=searchers, seeds=range(seeds), without_reference=without)
    results = Results.load(run)
    lines = lines_of(results)
    assert max(map(len, lines[1:])) <= 80
    plot = [line for line in lines if line[7:9] in (" ┤", " │")]
    assert len(plot) == ROWS
    panel = panel_of(results, "digits")
    front = [drawn.searcher for drawn in panel.ranked[: len(panel.front)]]
    named = {
        mark: [line for line in plot if f" {mark} {name}" in line]
        for mark, name in zip(MARKS, front, strict=False)
    }
    assert [len(found) for found in named.values()] == [1] * len(front)
    left_out = len(panel.ranked) - len(front)
    assert (f"{left_out} others ended higher" in lines[-1]) == (left_out > 0)
    assert lines[0].startswith("test cross-entropy of" if without else "regret: test cross-entropy")


def test_a_curve_is_where_its_values_are(tmp_path):
    """Planted: the default's 0.2 until 10 s, then 0.02, on a log axis to 0.2."""
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.3, 0.3), Point(10.0, 0.1, 0.12)])
    lines = lines_of(Results.load(tmp_path))
    rows = {line[:7].strip(): line for line in lines if "┤" in line}
    assert rows["0.2"].count(MARKS[0]) == pytest.approx(
        WIDTH * np.log(10 / 0.85) / np.log(60 / 0.85), abs=1
    )
    assert rows["0.02"].rstrip().endswith(f"{MARKS[0]} {MARKS[0]} fds 0.02")
    assert "─" * 20 in rows["0"]


def test_over_another_clock_it_says_so(tmp_path):
    results = Results.load(write_run(tmp_path))
    assert any("training steps" in line for line in lines_of(results, "steps"))


def test_nothing_complete_is_nothing_drawn(tmp_path):
    assert lines_of(Results.load(write_study(tmp_path))) == []
