"""Replay regret as a function of records: pairs, times, what is missing, and the summary."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hpobench import Results, RunError
from hpobench.report.tables.replay import replay_table
from hpobench.results.json_files import append_lines, write_json
from hpobench.results.replayed import label
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_references,
    write_study,
    write_yardsticks,
)

SEEDS, DRAWS = (0, 1, 2), 2
POINTS = [
    Point(5.0, 0.50, 0.55),
    Point(10.0, 0.60, None),
    Point(20.0, 0.30, 0.35),
    Point(30.0, 0.10, 0.20, full=False),
    Point(40.0, 0.25, 0.30),
]


def asked(folder: Path, at: Sequence[Any] = ("end",), draws: int = DRAWS) -> None:
    write_json(folder / "replay.json", {"schema": 1, "at": [*at], "draws": draws, "made": []})


def row(seed: int, draw: int, loss: float, row: str = "reference") -> dict[str, Any]:
    names = {"schema": 1, "task": "digits", "seed": seed, "draw": draw, "row": row}
    measured = {"trained_on": "training and validation", "test_loss": loss, "test_accuracy": 0.9}
    return {**names, **measured}


def incumbent(
    searcher: str, seed: int, evaluation: int, draw: int, loss: float, attempt: int = 1
) -> dict[str, Any]:
    names = {"cell": f"digits__{searcher}__s{seed}", "searcher": searcher, "attempt": attempt}
    return {**row(seed, draw, loss, "incumbent"), **names, "evaluation": evaluation}


def run(folder: Path, seeds: Sequence[int] = SEEDS) -> Path:
    write_study(folder, seeds=seeds)
    for seed in seeds:
        write_yardsticks(folder, "digits", seed)
        for searcher in ("fds", "random"):
            write_cell(folder, "digits", searcher, seed, POINTS)
    return folder


def rows(
    seed: int, draw: int, reference: float = 0.1, default: float = 0.4
) -> list[dict[str, Any]]:
    return [row(seed, draw, reference), row(seed, draw, default, "default")]


def every(
    folder: Path, losses: dict[str, np.ndarray], reference: np.ndarray, evaluation: int = 4
) -> None:
    """``losses``: of each searcher, (seeds, draws); ``reference``: (seeds, draws)."""
    lines = []
    for s, seed in enumerate(SEEDS):
        for draw in range(DRAWS):
            lines += rows(seed, draw, reference[s, draw])
            lines += [
                incumbent(name, seed, evaluation, draw, float(mine[s, draw]))
                for name, mine in losses.items()
            ]
    append_lines(folder / "replay.jsonl", lines)


def some_losses(seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    stream = np.random.default_rng(seed)
    fds, random, reference = stream.uniform(0.0, 1.0, (3, len(SEEDS), DRAWS))
    return {"fds": fds, "random": random}, reference


def test_regret_is_taken_draw_by_draw_and_averaged_seed_by_seed(tmp_path: Path) -> None:
    folder = run(tmp_path)
    asked(folder)
    losses, reference = some_losses(1)
    every(folder, losses, reference)
    results = Results.load(folder)
    frame = results.replay()
    for name, mine in losses.items():
        found = frame[frame["searcher"] == name].sort_values(["seed", "draw"])
        expected = (mine - reference).ravel()
        np.testing.assert_allclose(found["replay_regret"], expected)
        assert found["search_regret"].tolist() == pytest.approx([0.2] * 6)  # 0.30 − 0.10
        [summed] = results.replay_summary().query("searcher == @name").to_dict("records")
        by_seed = (mine - reference).mean(axis=1)
        assert summed["replay_regret"] == pytest.approx(by_seed.mean())
        assert summed["replay_regret_se"] == pytest.approx(by_seed.std(ddof=1) / math.sqrt(3))
        assert (summed["replay_n"], summed["seeds_planned"]) == (3, 3)
        assert summed["search_regret"] == pytest.approx(0.2)
        assert summed["trained_on"] == "training and validation"
    best = min(losses, key=lambda name: losses[name].mean())
    assert results.replay_summary()["searcher"].tolist()[0] == best


@pytest.mark.slow
@settings(max_examples=5, deadline=None)
@given(luck=st.lists(st.floats(-0.3, 3.0), min_size=6, max_size=6), seed=st.integers(0, 99))
def test_a_draw_s_luck_that_all_share_changes_no_regret(
    luck: list[float], seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    losses, reference = some_losses(seed)
    shift = np.reshape(luck, (3, 2))
    found = []
    for moved in (0 * shift, shift):
        folder = run(tmp_path_factory.mktemp("run"))
        asked(folder)
        every(folder, {name: mine + moved for name, mine in losses.items()}, reference + moved)
        frame = Results.load(folder).replay_summary().sort_values("searcher")
        found.append(frame[["replay_regret", "replay_regret_se"]].to_numpy())
    np.testing.assert_allclose(found[1], found[0], atol=1e-12)


def test_at_each_time_the_incumbent_of_then(tmp_path: Path) -> None:
    folder = run(tmp_path, seeds=(0,))
    asked(folder, at=(1.0, 5.0, 19.5, 20.0, 39.0, "end"), draws=1)
    lines = [*rows(0, 0), *(incumbent("fds", 0, e, 0, 0.2 + e) for e in (0, 2, 4))]
    append_lines(folder / "replay.jsonl", lines)
    results = Results.load(folder)
    mine = results.replay().query("searcher == 'fds'")
    assert mine["at"].tolist() == ["1", "5", "19.5", "20", "39", "end"]
    assert mine["evaluation"].fillna(-1).tolist() == [-1, 0, 0, 2, 2, 4]  # not 1, nor 3
    assert mine["test_loss"].tolist() == pytest.approx([0.4, 0.2, 0.2, 2.2, 2.2, 4.2])
    assert mine["search_regret"].tolist() == pytest.approx([0.2, 0.45, 0.45, 0.25, 0.25, 0.2])
    summary = results.replay_summary()
    assert list(dict.fromkeys(summary["at"])) == mine["at"].tolist()
    other = summary.query("searcher == 'random'")
    assert other["replay_n"].tolist() == [1, 0, 0, 0, 0, 0]  # it had nothing but the default
    assert math.isnan(other["replay_regret"].tolist()[-1])


def test_what_is_missing_is_shown_and_not_averaged(tmp_path: Path) -> None:
    folder = run(tmp_path)
    asked(folder)
    losses, reference = some_losses(2)
    every(folder, losses, reference)
    file = folder / "replay.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    gone = {
        "a draw of fds": '"searcher": "fds"',
        "a draw of the reference": '"row": "reference"',
        "a draw of the default": '"row": "default"',
    }
    for what, mark in gone.items():
        last = max(number for number, line in enumerate(lines) if mark in line)
        file.write_text("".join(lines[:last] + lines[last + 1 :]))
        results = Results.load(folder)
        summary = results.replay_summary().set_index("searcher")
        assert len(results.replay()) == 2 * 3 * 2, what
        counts = summary["replay_n"].to_dict()
        assert counts == {"fds": 2, "random": 3 if "fds" in what else 2}, what
        left = (losses["fds"] - reference).mean(axis=1)[:2]
        assert summary.loc["fds", "replay_regret"] == pytest.approx(left.mean())


def test_cells_that_are_not_complete_have_rows_and_no_numbers(tmp_path: Path) -> None:
    folder = write_study(tmp_path, seeds=(0, 1))
    write_yardsticks(folder, "digits", 0)
    write_cell(folder, "digits", "fds", 0, POINTS, status="failed", why="it raised")
    asked(folder, draws=1)
    lines = [*rows(0, 0), incumbent("fds", 0, 4, 0, 0.2)]
    append_lines(folder / "replay.jsonl", lines)
    results = Results.load(folder)
    frame = results.replay()
    statuses = dict(zip(frame["cell"], frame["status"], strict=True))
    assert statuses == {
        "digits__fds__s0": "failed",
        "digits__random__s0": "missing",
        "digits__fds__s1": "missing",
        "digits__random__s1": "missing",
    }
    assert frame[["test_loss", "replay_regret", "evaluation"]].isna().all(axis=None)
    assert results.replay_summary()["seeds_complete"].tolist() == [0, 0]
    assert results.replay_summary()["seeds_planned"].tolist() == [2, 2]
    assert "replay.csv" in {file.name for file in results.write()}
    assert replay_table(results).row_count > 0


def test_a_replay_of_another_attempt_is_not_this_one_s(tmp_path: Path) -> None:
    folder = run(tmp_path, seeds=(0,))
    asked(folder, draws=1)
    lines = [*rows(0, 0), incumbent("fds", 0, 4, 0, 0.9, attempt=2)]
    append_lines(folder / "replay.jsonl", [*lines, incumbent("random", 0, 4, 0, 0.3)])
    found = Results.load(folder).replay().set_index("searcher")["test_loss"]
    assert math.isnan(found["fds"])
    assert found["random"] == 0.3


def test_without_a_reference_there_are_losses(tmp_path: Path) -> None:
    folder = run(tmp_path, seeds=(0,))
    write_references(folder, ["digits"], without=["digits"])
    asked(folder, draws=1)
    lines = [row(0, 0, 0.4, "default"), incumbent("fds", 0, 4, 0, 0.2)]
    append_lines(folder / "replay.jsonl", lines)
    summary = Results.load(folder).replay_summary().set_index("searcher")
    assert summary["replay_n"].to_dict() == {"fds": 1, "random": 0}
    assert summary.loc["fds", "replay_test_loss"] == 0.2
    assert summary["replay_regret"].isna().all()


def test_another_searcher_changes_nobody_s_replay_regret(tmp_path: Path) -> None:
    losses, reference = some_losses(3)
    both, alone = run(tmp_path / "both"), run(tmp_path / "alone")
    for folder in (both, alone):
        asked(folder)
    every(both, losses, reference)
    every(alone, {"fds": losses["fds"]}, reference)
    mine = [
        Results.load(folder).replay().query("searcher == 'fds'")["replay_regret"].tolist()
        for folder in (both, alone)
    ]
    assert mine[0] == mine[1]


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = run(tmp_path, seeds=(0,))
    asked(folder)
    append_lines(folder / "replay.jsonl", [row(0, 0, 0.1)])
    broken = incumbent("fds", 0, 4, 0, 0.2)
    append_lines(folder / "replay.jsonl", [{k: v for k, v in broken.items() if k != "evaluation"}])
    with pytest.raises(RunError, match=r"replay\.jsonl, line 2 lacks 'evaluation'"):
        Results.load(folder)
    (folder / "replay.jsonl").unlink()
    write_json(folder / "replay.json", {"schema": 7, "at": ["end"], "draws": 1})
    with pytest.raises(RunError, match=r"replay\.json has schema 7"):
        Results.load(folder)


def test_a_replay_that_has_not_begun_is_all_missing(tmp_path: Path) -> None:
    folder = run(tmp_path, seeds=(0,))
    asked(folder)
    frame = Results.load(folder).replay()
    assert len(frame) == 4
    assert frame["evaluation"].tolist() == [4] * 4
    assert frame[["test_loss", "reference_loss", "default_loss"]].isna().all(axis=None)
    assert Results.load(folder).replay_summary()["replay_n"].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("time", "text"), [(10, "10"), (0.25, "0.25"), (1234567.5, "1234567.5"), (math.inf, "end")]
)
def test_labels(time: float, text: str) -> None:
    assert label(time) == text
