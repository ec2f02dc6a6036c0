"""Hyperparameters as they were learned: what is shown of them, and of how many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpobench.report.drawing.downsampling import significant
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.schedules import (
    MOST_STEPS,
    MOST_TRAININGS,
    SCHEDULES,
    moving,
    scales_of,
    schedule_data,
    schedule_plot,
)
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run, write_study
from tests.hpobench.report.figures.learned_run import flat_of, learned, noted_at_length
from tests.hpobench.report.figures.text_boxes import TWELVE, check_apart, check_files


def test_of_a_schedule_in_windows_each_window_is_shown(tmp_path: Path) -> None:
    source = learned(tmp_path, [flat_of(0.1, 0.2), flat_of(0.3, 0.4)], [None, None])
    data = schedule_data(source.evaluated, "digits")
    along = data.query("line == 'training' and evaluation == 1")
    rows = along[["hyperparameter", "at", "value"]].to_numpy().tolist()
    assert rows == [["learning_rate", 0, 0.3], ["learning_rate", 0.5, 0.4], ["momentum", 0, 0.5]]
    second = data.query("line == 'search' and hyperparameter == 'learning_rate' and part == 1")
    assert second[["evaluation", "seconds", "value"]].to_numpy().tolist() == [
        [0, 1, 0.2],
        [1, 2, 0.4],
    ]
    assert moving(data) == ["learning_rate"]
    assert scales_of(source.results.task("digits"), data) == {
        "learning_rate": True,
        "momentum": False,
    }


def test_of_a_schedule_that_was_noted_the_steps_are_shown(tmp_path: Path) -> None:
    rates = np.linspace(0.1, 0.3, 200).tolist()
    notes: list[dict[str, Any] | None] = [
        {"schedule": {"learning_rate": rates}},
        {"schedule": [1.0]},
    ]
    source = learned(tmp_path, [flat_of(0.15, 0.25)] * 2, notes, "hd")
    data = schedule_data(source.evaluated, "digits").query("line == 'training'")
    steps = data.query("hyperparameter == 'learning_rate' and evaluation == 0")
    assert len(steps) == MOST_STEPS
    place = (steps["at"] * 200).round().astype(int)
    assert steps["value"].tolist() == significant([rates[i] for i in place]).tolist()
    assert place.iloc[[0, -1]].tolist() == [0, 199]
    windows = data.query("hyperparameter == 'learning_rate' and evaluation == 1")
    assert windows["value"].tolist() == [0.15, 0.25]  # a note that is none


@pytest.mark.parametrize("count", [1, 12, 90])
def test_of_many_evaluations_some_are_shown_the_first_and_last_among_them(
    tmp_path: Path, count: int
) -> None:
    rng = np.random.default_rng(count)
    flats = [flat_of(*rng.uniform(0.01, 0.9, 3).tolist()) for _ in range(count)]
    source = learned(tmp_path, flats, [None] * count)
    data = schedule_data(source.evaluated, "digits", 20)
    for line, most in (("search", 20), ("training", MOST_TRAININGS)):
        shown = data.loc[data["line"] == line, "evaluation"].unique()
        assert len(shown) <= most
        assert {0, count - 1} <= set(shown)
    for row in data.query("line == 'search'").itertuples():
        name = row.hyperparameter + (f"_{row.part}" if row.hyperparameter != "momentum" else "")
        assert row.value == significant(flats[row.evaluation][name])


def test_only_what_is_learned_by_gradients_and_complete_is_a_schedule(tmp_path: Path) -> None:
    failed = ["digits__fds__s0", "digits__hd__s0", "digits__hd__s1"]
    write_run(tmp_path, searchers=("fds", "hd", "random"), failed=failed)
    data = schedule_data(FigureSource(Results.load(tmp_path)).evaluated, "digits")
    assert set(data["searcher"]) == {"fds"}
    assert set(data["seed"]) == {1}


def test_it_has_files_of_the_training_and_of_the_search(tmp_path: Path) -> None:
    """Names, units and scales are said, and no text lies over another."""
    said = {
        "schedules-digits": {"rmd", "learning_rate, log", "momentum", "share of the training, %"},
        "outer-steps-digits": {"outer step: the evaluation's number"},
    }
    check_files(SCHEDULES.drawn(noted_at_length(tmp_path)), said)


def test_of_twelve_searchers_no_text_overlaps(tmp_path: Path) -> None:
    write_run(tmp_path, searchers=TWELVE, seeds=(0,), notes={"hypergradient": {"momentum": 2.0}})
    drawn = SCHEDULES.drawn(FigureSource(Results.load(tmp_path)))
    assert list(drawn) == ["outer-steps-digits"]
    for draw in drawn.values():
        check_apart(draw)


def test_where_nothing_was_learned_nothing_is_drawn(tmp_path: Path) -> None:
    without = [
        write_study(tmp_path / "empty"),
        write_run(tmp_path / "run", searchers=("random", "bohb")),
    ]
    for run in without:
        source = FigureSource(Results.load(run))
        assert len(schedule_data(source.evaluated, "digits")) == 0
        assert SCHEDULES.figures(source) == []
        assert SCHEDULES.drawn(source) == {}


def plotted(source: FigureSource) -> tuple[Any, Any]:
    data = schedule_data(source.evaluated, "digits")
    scales = scales_of(source.results.task("digits"), data)
    return data, schedule_plot(data, source.looks, scales).as_json()


def test_the_interactive_lines_are_those_of_the_data(tmp_path: Path) -> None:
    flats = [flat_of(0.1, 0.2), flat_of(0.3, 0.4, 0.6), flat_of(0.5, 0.4, 0.7)]
    data, plot = plotted(learned(tmp_path, flats, [None] * 3))
    shown: dict[tuple[str, str], list[Any]] = {}
    for trace in plot["traces"]:
        when = trace["meta"]["when"]
        shown.setdefault((when["hyperparameter"], when["against"]), []).append(trace)
        assert (trace["meta"]["of"], trace["meta"]["panel"]) == ("fds", "fds")
        assert len(trace["x"]) == len(trace["y"]) == len(trace["text"])
    assert len(shown) == 2 * 3
    of_name = data[data["hyperparameter"] == "learning_rate"]
    for view in ("evaluation", "seconds"):
        lines = of_name[of_name["line"] == "search"].groupby("part")
        for trace, (_, rows) in zip(shown["learning_rate", view], lines, strict=True):
            assert (trace["x"], trace["y"]) == (rows[view].tolist(), rows["value"].tolist())
    trainings = of_name[of_name["line"] == "training"].groupby("evaluation")
    for trace, (_, rows) in zip(shown["learning_rate", "training"], trainings, strict=True):
        first, second = rows["value"]
        assert (trace["x"], trace["y"]) == ([0, 50, 100], [first, second, second])
    first = shown["learning_rate", "training"][1]["text"][1]
    assert first == (
        "<b>fds</b>, seed 0, evaluation 1 at 2 seconds<br>learning_rate = 0.4 from 50 % of the"
        " training on<br>validation loss 0.5"
    )
    assert shown["learning_rate", "seconds"][1]["text"][0] == (
        "<b>fds</b>, seed 0, evaluation 0 at 1 seconds<br>learning_rate 1 = 0.2"
        "<br>validation loss 1"
    )


def test_the_interactive_one_begins_with_what_changes_along_a_training(tmp_path: Path) -> None:
    _, plot = plotted(noted_at_length(tmp_path / "changes"))
    chosen = {control["name"]: control["chosen"] for control in plot["controls"]}
    assert chosen == {"hyperparameter": "learning_rate", "against": "training"}
    assert plot["panels"] == ("rmd",)
    constant = learned(tmp_path / "constant", [{"momentum": 0.5}], [None])
    _, plot = plotted(constant)
    (control,) = plot["controls"]
    assert (control["chosen"], len(control["options"])) == ("evaluation", 2)
    assert {trace["mode"] for trace in plot["traces"]} == {"markers"}
