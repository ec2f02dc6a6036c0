"""The audit from the command line, and what it leaves."""

from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from typer.testing import CliRunner

from hpobench.audit import agreement as agreeing
from hpobench.audit import cost as costing
from hpobench.audit import online, run
from hpobench.audit.figure import audit_figure
from hpobench.audit.problems import RULES
from hpobench.audit.rows import Cost
from hpobench.audit.spread import summarised
from hpobench.cli import app
from hpobench.errors import HpobenchError
from searchers.errors import SearcherError

HERE = Path(__file__).parent / "unrolled_engine.py"


@pytest.fixture
def small(monkeypatch):
    """An audit of few rules and sizes."""
    few = agreeing.agreement
    monkeypatch.setattr(run, "agreement", lambda engines: few(engines, RULES[:1]))
    monkeypatch.setattr(costing, "HORIZONS", (16, 64))
    monkeypatch.setattr(costing, "WINDOWS", (1, 7))
    monkeypatch.setattr(costing, "SECONDS", 0.0)


def command(*arguments: object):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


@pytest.mark.slow
def test_a_wrong_engine_ends_with_exit_code_one(small, tmp_path: Path) -> None:
    wrong = f'{HERE}:Unrolled("momentum\'s sign")'
    done = command("--engine", wrong, "--task", "quadratic", "--out", tmp_path)
    assert done.exit_code == 1, done.output
    assert "failed: unrolled, rule sgd, " in done.output
    assert "✗" in done.output
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["failed"]
    assert found["agreement"]
    with open(tmp_path / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(found[kind]) for kind in ("agreement", "spread", "cost"))
    assert {row["check"] for row in rows} == {"agreement", "spread", "cost"}
    assert (tmp_path / "audit.png").stat().st_size > 10_000
    assert "<svg" in (tmp_path / "audit.svg").read_text()


@pytest.mark.slow
def test_online_hypergradients_alone(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "online", lambda: online.online(RULES[:1]))
    done = command("--searcher", "hd", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Every check passed: " in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.csv", "audit.json"]
    assert "No figure: single steps are checked alone" in done.output
    assert json.loads((tmp_path / "audit.json").read_text())["task"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--searcher", "random"], "random is a black-box searcher"),
        (["--searcher", "fsd"], "fsd"),
        (["--searcher", "hd", "--task", "digits"], "--task: hd differentiates single steps"),
        (["--task", "digts"], "digts"),
        (["--engine", "nowhere.py:Engine"], "no such file"),
    ],
)
def test_a_mistake_writes_nothing(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = command(*arguments, "--out", tmp_path / "out")
    assert isinstance(done.exception, (HpobenchError, SearcherError, ValueError))
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_audit_leaves_nothing(monkeypatch, tmp_path: Path) -> None:
    def interrupted(engines):
        raise KeyboardInterrupt

    monkeypatch.setattr(run, "agreement", interrupted)
    done = command("--searcher", "fds", "--task", "quadratic", "--out", tmp_path / "audit")
    assert done.exit_code != 0
    assert not (tmp_path / "audit").exists()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HpobenchError, match="it is no folder: choose another path"):
        CliRunner().invoke(
            app,
            ["audit", "--searcher", "hd", "--out", str(tmp_path / "file")],
            catch_exceptions=False,
        )


# The figure.


def costs(engines: list[str]) -> list[Cost]:
    sizes = costing.sizes()
    return [
        Cost(e, *size, (1 + i) * size[1] ** 0.1, 1, 2, 3, (1 + i) * size[0] ** 0.5, "memory")
        for i, e in enumerate(engines)
        for size in sizes
    ]


def texts(figure):
    """Each visible text with its place, in dots."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in found]
    return [(text, box) for text, box in boxes if box.width > 0], figure.bbox


@pytest.mark.parametrize("measured", [8, 1])
def test_no_words_overlap_in_the_figure(measured: int) -> None:
    names = [f"learning_rate_{i}" for i in range(7)] + ["weight_decay"]
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=(6, 8)) for name in ("auto", "forward, clamped to ±1", "mine")}
    found["mine"] = found["mine"][:4]
    rows = summarised(found, "auto", names, "digits", 9)
    spreads = [replace(row, taken="graphs" if row.engine == "auto" else "") for row in rows]
    engines = ["plain training", *(f"an engine {i}" for i in range(measured))]
    written, canvas = texts(audit_figure(spreads, costs(engines)))
    assert {*names, *engines, "∝ √T"} <= {text for text, _ in written}
    everything = [text for text, _ in written]
    assert {"auto (graphs): 6 draws", "mine: 4 draws"} <= set(everything)
    share = "mean ± standard deviation over the 4 draws that all engines share, 9 epochs"
    assert share in everything
    assert sum("(log scale)" in text for text in everything) == 4  # two panels, both axes
    for i, (text, box) in enumerate(written):
        assert canvas.x0 <= box.x0, text
        assert box.x1 <= canvas.x1, text
        for other, its in written[:i]:
            assert not box.overlaps(its), (text, other)


def test_a_figure_without_memory() -> None:
    rows = [Cost("stored", *size, 4.0, 3, 5, 3, math.nan, "memory") for size in costing.sizes()]
    spreads = list(summarised({"auto": np.ones((2, 1))}, "auto", ["a"], "digits", 1))
    written, _ = texts(audit_figure(spreads, rows))
    assert not any("Memory" in text for text, _ in written)
