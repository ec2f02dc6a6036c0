"""What was learned and tried, on the page in a real browser: every control is clicked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpobench.report import figures as registry
from hpobench.report.figures.hypergradients import HYPERGRADIENTS
from hpobench.report.figures.parallel import PARALLEL
from hpobench.report.figures.schedules import MOST_TRAININGS, SCHEDULES
from hpobench.report.page import document
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run
from tests.hpobench.report.page.browser import CHROMIUM, Tab
from tests.hpobench.report.page.clicking import clicked, clicked_there, opened, words_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

SEARCHERS = ("hd", "random", "fds", "rmd", *(f"searcher_{place}" for place in range(9)))


def write_learned(folder: Path) -> Path:
    """A run of 13 searchers, three of which learn as they go, and note how."""
    write_run(folder, searchers=SEARCHERS, seeds=(0, 1))
    for file in folder.glob("cells/*/evaluations.jsonl"):
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        rng = np.random.default_rng(len(str(file.parent.name)))
        for number, line in enumerate(lines):
            rates = (0.1 * rng.lognormal(0, 0.5, 2)).tolist()
            line["hyperparameters"] = {
                "learning_rate_0": rates[0],
                "learning_rate_1": rates[1],
                "momentum": rng.uniform(0, 0.9),
            }
            if line["searcher"] in ("hd", "rmd"):
                schedule = {"learning_rate": np.geomspace(*rates, 60).round(6).tolist()}
                line["notes"] = {"schedule": schedule}
            if line["searcher"] in ("fds", "rmd"):
                slopes = {"learning_rate": 10.0**number, "momentum": 0.0 if number == 3 else 0.2}
                lost = {"nonfinite": ["learning_rate"]} if number == 4 else {}
                line["notes"] = {**line.get("notes", {}), "hypergradient": slopes, **lost}
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """With these figures alone."""
    results = Results.load(write_learned(tmp_path_factory.mktemp("learned") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "FIGURES", (SCHEDULES, HYPERGRADIENTS, PARALLEL))
        return document.render_report(results)


WALK = """drawn().then(() => {
  const figure = document.querySelector("[data-figure=parallel-digits]");
  const key = new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true });
  for (let step = 0; step < 12; step += 1) figure.querySelector(".plot").dispatchEvent(key);
  return figure.querySelector("[aria-live]").textContent;
})"""


@pytest.fixture(scope="module")
def walked(page: str, tab: Tab, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said where a walk along a curve of the page ends."""
    opened(tab, tmp_path_factory.mktemp("page") / "page.html", page)
    return tab.value(WALK)


@pytest.fixture(scope="module")
def figures(walked: str, tab: Tab) -> dict[str, Any]:
    """What came of clicking on everything there, after the walk."""
    return clicked_there(tab)


OURS = ("schedules-digits", "hypergradients-digits", "parallel-digits")


def test_every_control_changes_what_is_drawn_and_back(figures: dict[str, Any]) -> None:
    for name in OURS:
        figure = figures[name]
        before = figure["at_first"]
        for click in figure["clicks"]:
            assert click["sum"] != before["sum"], (name, click["words"])
            before = click
        assert before["sum"] == figure["at_first"]["sum"], name
        assert figure["static_shown"] == figure["unreachable"] == figure["nameless"] == 0, name
        assert figure["said"], name


def test_schedules_are_drawn_against_the_training_and_the_search(figures: dict[str, Any]) -> None:
    figure = figures["schedules-digits"]
    clicks = words_of(figure)
    assert [click["words"] for click in figure["clicks"]][:5] == [
        *("hyperparameter: momentum", "hyperparameter: learning_rate"),
        *("against: evaluation", "against: seconds", "against: training"),
    ]
    trainings = figure["at_first"]["open"]
    assert 3 * 8 <= trainings <= 3 * MOST_TRAININGS
    assert clicks["against: seconds"]["open"] == 3 * 2  # windows
    assert "learning_rate (log scale)" in figure["at_first"]["heading"]
    assert clicks["hyperparameter: momentum"]["heading"] == "momentum"
    said = " ".join(figure["at_first"]["texts"])
    assert re.search(r"<b>hd</b>, seed 0, evaluation \d+ at \S+ seconds<br>learning_rate = ", said)
    assert re.search(r" from \d+(\.\d+)? % of the training on<br>validation loss 0\.\d+", said)
    said = " ".join(clicks["against: seconds"]["texts"])
    assert re.search(
        r"<b>fds</b>, seed 0, evaluation \d+ at \S+ seconds<br>learning_rate 1 = ", said
    )
    assert 0 < clicks["hide hd"]["open"] < trainings


def test_hypergradients_say_what_was_lost_and_what_is_zero(figures: dict[str, Any]) -> None:
    figure = figures["hypergradients-digits"]
    first = figure["at_first"]
    assert (first["y"], first["open"]) == ("log", 2 * 2)  # a line and a cross for each
    assert any("norm by learning_rate: inf or NaN" in text for text in first["texts"])
    momentum = words_of(figure)["by: momentum"]
    assert any("norm by momentum: 0" in text for text in momentum["texts"])


def test_parallel_coordinates_are_told_and_thinned(figures: dict[str, Any]) -> None:
    figure = figures["parallel-digits"]
    clicks = words_of(figure)
    assert clicks["lines: best"]["open"] == len(SEARCHERS)
    assert clicks["colour: searcher"]["open"] == 2 * len(SEARCHERS)
    said = figure["at_first"]["texts"][0]
    assert re.search(r"<b>\S+</b>, seed \d, evaluation \d+<br>learning_rate_0 = 0\.\d+<br>", said)
    assert "validation cross-entropy = " in said


def test_it_works_on_a_narrow_screen(page: str, tab: Tab, tmp_path: Path) -> None:
    found = clicked(tab, tmp_path / "page.html", page, width=400, most=2)
    assert set(OURS) == set(found)


def test_the_keyboard_walks_over_gaps(walked: str) -> None:
    assert "evaluation" in walked
