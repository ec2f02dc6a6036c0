import json
import math

import numpy as np
import pandas as pd
import pytest

from hpobench.errors import RunError
from hpobench.results.json_files import append_lines, read_json, read_lines, write_json
from hpobench.results.loading import intact
from hpobench.results.run import Results
from hpobench.results.schema import PARTS
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_disturbed_run,
    write_references,
    write_run,
    write_study,
    write_yardsticks,
)

REGRET_COLUMNS = [
    "task",
    "searcher",
    "seed",
    "curve",
    "seconds",
    "slot_seconds",
    "steps",
    "evaluation",
    "validation_loss",
    "test_loss",
    "test_accuracy",
    "regret",
    "normalised_regret",
]
SUMMARY_COLUMNS = [
    "task",
    "searcher",
    "seeds_complete",
    "seeds_planned",
    "final_regret",
    "final_regret_se",
    "final_normalised_regret",
    "seconds_to_10_percent",
    "reached_10_percent",
    "seconds_to_1_percent",
    "reached_1_percent",
    "seconds_to_zero",
    "reached_zero",
    "evaluations",
    "full_evaluations",
    "diverged",
    "failed",
    "thinking_share",
    "orchestration_share",
]


@pytest.fixture
def by_hand(tmp_path):
    """Reference 0.1, default 0.3; fds beats the reference on seed 0 and falls short on seed 1."""
    write_study(tmp_path, searchers=("fds", "random", "grid"))
    for seed in (0, 1):
        write_yardsticks(tmp_path, "digits", seed, (0.09, 0.11), (0.29, 0.31))
    first = [
        Point(2.0, 0.50, 0.40, full=False),
        Point(5.0, 0.40, 0.35),
        Point(8.0, 0.01, None, status="diverged"),
        Point(9.0, 0.30, 0.115),
        Point(12.0, 0.35, None),
        Point(20.0, 0.20, 0.14),
        Point(30.0, 0.10, 0.08),
    ]
    write_cell(tmp_path, "digits", "fds", 0, first)
    write_cell(tmp_path, "digits", "fds", 1, [Point(10.0, 0.2, 0.2)], thinking=0.75)
    write_cell(tmp_path, "digits", "random", 0, [Point(40.0, 0.2, 0.11)])
    write_cell(tmp_path, "digits", "random", 1, [Point(1.0, 0.2, None)], "failed", "it fell over")
    return tmp_path


def curve(results, searcher, seed, kind="incumbent"):
    rows = results.regret()
    mine = (rows["searcher"] == searcher) & (rows["seed"] == seed) & (rows["curve"] == kind)
    return rows[mine]


def row(results, searcher, task="digits"):
    summary = results.summary()
    return summary[(summary["searcher"] == searcher) & (summary["task"] == task)].iloc[0]


def test_the_incumbents_curve_by_hand(by_hand):
    rows = curve(Results.load(by_hand), "fds", 0)
    assert rows["seconds"].tolist() == [0, 5, 9, 20, 30]
    assert rows["evaluation"].tolist() == [pd.NA, 1, 3, 5, 6]
    assert rows["steps"].tolist() == [0, 200, 400, 600, 700]
    assert rows["test_loss"].tolist() == pytest.approx([0.3, 0.35, 0.115, 0.14, 0.08])
    assert rows["regret"].tolist() == pytest.approx([0.2, 0.25, 0.015, 0.04, -0.02])
    assert rows["normalised_regret"].tolist() == pytest.approx([1, 1.25, 0.075, 0.2, -0.1])
    assert rows["validation_loss"].tolist() == pytest.approx([0.3, 0.4, 0.3, 0.2, 0.1])


def test_the_model_in_hand_counts_smaller_budgets_too(by_hand):
    rows = curve(Results.load(by_hand), "fds", 0, "in_hand")
    assert rows["evaluation"].tolist() == [pd.NA, 0, 1, 3, 5, 6]


def test_the_summary_by_hand(by_hand):
    results = Results.load(by_hand)
    fds = row(results, "fds")
    assert fds["final_regret"] == pytest.approx((-0.02 + 0.1) / 2)
    assert fds["final_regret_se"] == pytest.approx(0.06)
    assert fds["final_normalised_regret"] == pytest.approx((-0.1 + 0.5) / 2)
    assert (fds["seeds_complete"], fds["seeds_planned"]) == (2, 2)
    # 10 % was reached at 9 s, lost at 20 s, and reached to stay at 30 s; on seed 1 never.
    assert (fds["seconds_to_10_percent"], fds["reached_10_percent"]) == (30, 1)
    assert (fds["seconds_to_zero"], fds["reached_zero"]) == (30, 1)
    assert (fds["evaluations"], fds["full_evaluations"], fds["diverged"]) == (4, 3.5, 0.5)
    assert fds["thinking_share"] == pytest.approx(0.5)


def test_a_failed_cell_reached_nothing_and_a_missing_one_is_shown(by_hand):
    results = Results.load(by_hand)
    random, grid = row(results, "random"), row(results, "grid")
    assert (random["seeds_complete"], random["seeds_failed"]) == (1, 1)
    assert random["final_regret"] == pytest.approx(0.01)
    assert math.isnan(random["final_regret_se"])
    assert (random["seconds_to_10_percent"], random["reached_10_percent"]) == (40, 1)
    assert math.isnan(random["seconds_to_1_percent"])
    assert random["reached_1_percent"] == 0
    assert (grid["seeds_complete"], grid["seeds_planned"]) == (0, 2)
    assert math.isnan(grid["final_regret"])
    assert pd.isna(grid["reached_zero"])
    cells = results.cells.set_index("cell")
    assert cells.loc["digits__grid__s1", "status"] == "missing"
    assert cells.loc["digits__random__s1", "cause"] == "it fell over"
    assert cells.loc["digits__fds__s0", "cause"] is None
    assert results.summary()["searcher"].tolist() == ["random", "fds", "grid"]


def test_two_failed_cells_outvote_one_that_reached_the_target(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1, 2))
    for seed in (0, 1, 2):
        write_yardsticks(tmp_path, "digits", seed)
        status = "failed" if seed else "complete"
        write_cell(tmp_path, "digits", "fds", seed, [Point(5.0, 0.1, 0.1)], status)
    found = row(Results.load(tmp_path), "fds")
    assert found["reached_10_percent"] == 1
    assert math.isnan(found["seconds_to_10_percent"])


def test_a_draw_of_the_default_that_was_not_measured_is_not_skipped(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0, default=(0.3, None))
    write_cell(tmp_path, "digits", "fds", 0, [Point(5.0, 0.1, 0.1)])
    rows = curve(Results.load(tmp_path), "fds", 0)
    assert np.isnan(rows["regret"].iloc[0])
    assert rows["regret"].iloc[1] == pytest.approx(0)


def test_zero_is_within_the_references_standard_error(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0, (0.09, 0.11))  # 0.1 ± 0.01
    write_cell(tmp_path, "digits", "fds", 0, [Point(7.0, 0.2, 0.1099)])
    assert row(Results.load(tmp_path), "fds")["reached_zero"] == 1
    tests = tmp_path / "cells" / "digits__fds__s0" / "tests.jsonl"
    tests.write_text(tests.read_text().replace("0.1099", "0.1120"))
    assert row(Results.load(tmp_path), "fds")["reached_zero"] == 0
    write_references(tmp_path, ["digits"], error=0.01)  # over splits: not this one's
    assert row(Results.load(tmp_path), "fds")["reached_zero"] == 0


def test_without_a_reference_there_is_no_regret_but_there_are_losses(by_hand):
    write_references(by_hand, ["digits"], without=["digits"])
    results = Results.load(by_hand)
    assert results.references == {"digits": None}
    assert results.regret()[["regret", "normalised_regret"]].isna().all(axis=None)
    fds = row(results, "fds")
    assert math.isnan(fds["final_regret"])
    assert pd.isna(fds["reached_zero"])
    assert fds["final_test_loss"] == pytest.approx((0.08 + 0.2) / 2)
    assert results.summary()["searcher"].tolist() == ["random", "fds", "grid"]


def test_a_split_without_yardsticks_has_no_regret(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1))
    write_yardsticks(tmp_path, "digits", 0)
    for seed in (0, 1):
        write_cell(tmp_path, "digits", "fds", seed, [Point(1.0, 0.2, 0.2)])
    results = Results.load(tmp_path)
    assert curve(results, "fds", 0)["regret"].notna().all()
    assert curve(results, "fds", 1)["regret"].isna().all()
    assert math.isnan(row(results, "fds")["final_regret"])  # a mean over half is not the mean


def test_a_default_that_does_not_lose_gives_no_normalised_regret(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0, (0.1, 0.1), (0.1, 0.1))
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.09)])
    found = row(Results.load(tmp_path), "fds")
    assert found["final_regret"] == pytest.approx(-0.01)
    assert math.isnan(found["final_normalised_regret"])
    assert pd.isna(found["reached_10_percent"])
    assert found["reached_zero"] == 1


def test_a_task_without_accuracy(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0, accuracy=None)
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)], accuracy=None)
    results = Results.load(tmp_path)
    assert results.regret()["test_accuracy"].isna().all()
    assert row(results, "fds")["final_regret"] == pytest.approx(0.1)


def test_unknown_keys_are_kept(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    note = {"nonfinite": ["momentum"]}
    cell = write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)] * 2, notes=note, lucky=7)
    first = read_lines(cell / "evaluations.jsonl").records[0]
    another = {**first, "evaluation": 2, "steps": 300, "error": "why"}
    append_lines(cell / "evaluations.jsonl", [another])
    results = Results.load(tmp_path)
    assert results.evaluations["notes"].tolist() == [note] * 3
    results.write()
    written = pd.read_parquet(tmp_path / "evaluations.parquet")
    assert written["lucky"].tolist() == [7, 7, 7]
    assert written["error"].dropna().tolist() == ["why"]
    assert [json.loads(text) for text in written["notes.nonfinite"]] == [["momentum"]] * 3


def test_what_is_written_says_what_was_computed(by_hand):
    results = Results.load(by_hand)
    assert {path.name for path in results.write()} == {
        "evaluations.parquet",
        "regret.csv",
        "summary.csv",
    }
    regret = pd.read_csv(by_hand / "regret.csv")
    assert regret.columns[:13].tolist() == REGRET_COLUMNS
    assert regret["regret"].to_numpy() == pytest.approx(
        results.regret()["regret"].to_numpy(), nan_ok=True
    )
    summary = pd.read_csv(by_hand / "summary.csv")
    assert set(SUMMARY_COLUMNS) <= set(summary.columns)
    assert len(summary) == 3
    text = (by_hand / "summary.csv").read_text().splitlines()
    assert "nan" not in text[3]  # grid: its cells are empty
    parquet = pd.read_parquet(by_hand / "evaluations.parquet")
    assert len(parquet) == len(results.evaluations) == 10
    assert parquet["hyperparameters.learning_rate_0"].tolist()[0] == 0.1
    assert parquet["hyperparameters.momentum"].dtype == float


def test_final_regret_can_be_recomputed_from_the_written_file(tmp_path):
    results = Results.load(write_run(tmp_path, seeds=range(3), failed=["digits__fds__s1"]))
    results.write()
    rows = pd.read_csv(tmp_path / "regret.csv")
    rows = rows[(rows["curve"] == "incumbent") & (rows["status"] == "complete")]
    last = rows.sort_values("seconds", kind="stable").groupby(["searcher", "seed"]).tail(1)
    means = last.groupby("searcher")["regret"].mean()
    for searcher in ("fds", "random"):
        assert means[searcher] == pytest.approx(row(results, searcher)["final_regret"])


def test_incumbents_are_evaluations(by_hand):
    found = Results.load(by_hand).incumbents()
    mine = found[(found["cell"] == "digits__fds__s0") & (found["curve"] == "incumbent")]
    assert mine["evaluation"].tolist() == [1, 3, 5, 6]
    assert mine["hyperparameters"].map(lambda h: h["momentum"]).tolist() == [0.9] * 4
    assert not found["status"].eq("diverged").any()


def test_another_searcher_changes_no_curve(tmp_path):
    small = Results.load(write_run(tmp_path / "a", searchers=("fds", "random")))
    large = Results.load(write_run(tmp_path / "b", searchers=("fds", "random", "bohb", "grid")))
    for searcher in ("fds", "random"):
        mine = small.regret()[small.regret()["searcher"] == searcher].reset_index(drop=True)
        same = large.regret()[large.regret()["searcher"] == searcher].reset_index(drop=True)
        pd.testing.assert_frame_equal(mine, same)


def test_a_torn_last_line_is_left_out_and_noted(by_hand):
    file = by_hand / "cells" / "digits__fds__s0" / "evaluations.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    results = Results.load(by_hand)
    assert curve(results, "fds", 0)["evaluation"].max() == 5
    assert any("digits__fds__s0/evaluations.jsonl was cut off" in note for note in results.notes)


def test_a_damaged_line_names_file_and_line(by_hand):
    file = by_hand / "cells" / "digits__fds__s0" / "evaluations.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    lines[2] = lines[2][:30] + "\n"
    file.write_text("".join(lines))
    with pytest.raises(RunError, match=r"digits__fds__s0/evaluations\.jsonl, line 3 is damaged"):
        Results.load(by_hand)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"seconds"', '"secs"', "line 1 lacks 'seconds'"),
        ('"validation_loss": 0.5', '"validation_loss": "low"', "line 1: 'validation_loss' is"),
        ('"full": false', '"full": 0', "line 1: 'full' is 0"),
        ('"evaluation": 1,', '"evaluation": 2,', "evaluation 2 is there twice"),
        ('"seconds": 9.0', '"seconds": 7.0', "at evaluation 3 the seconds go back"),
        ('"seconds": 9.0', '"seconds": null', "line 4: 'seconds' is None"),
        ('"schema": 1', '"schema": 2', "schema 2, and this version reads 1"),
    ],
)
def test_a_wrong_line_is_named(by_hand, old, new, message):
    file = by_hand / "cells" / "digits__fds__s0" / "evaluations.jsonl"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new, 1))
    with pytest.raises(RunError, match=message) as caught:
        Results.load(by_hand)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_a_run(tmp_path):
    with pytest.raises(RunError, match="there is no such folder; give the path of a run"):
        Results.load(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"it has no study\.json; give the path of a run"):
        Results.load(tmp_path)
    write_json(tmp_path / "study.json", {"schema": 2})
    with pytest.raises(RunError, match="schema 2"):
        Results.load(tmp_path)
    write_json(tmp_path / "study.json", {"schema": 1})
    with pytest.raises(RunError, match="lacks 'name'"):
        Results.load(tmp_path)


def test_a_run_that_has_only_begun(tmp_path):
    write_study(tmp_path)
    (tmp_path / "references.json").unlink()
    results = Results.load(tmp_path)
    assert results.cells["status"].tolist() == ["missing"] * 4
    assert len(results.summary()) == 2
    assert len(results.regret()) == len(results.incumbents()) == 0
    results.write()
    assert (tmp_path / "regret.csv").read_text().startswith("task,searcher,seed,curve")


def test_a_cell_under_way_has_a_curve_but_no_result(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    cell = write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, None)], "running")
    record = json.loads((cell / "cell.json").read_text())
    write_json(cell / "cell.json", {**record, "ledger": None})
    results = Results.load(tmp_path)
    assert curve(results, "fds", 0)["validation_loss"].tolist() == [0.3, 0.2]
    assert np.isnan(curve(results, "fds", 0)["regret"].iloc[-1])
    assert row(results, "fds")["seeds_complete"] == 0
    assert math.isnan(row(results, "fds")["thinking_share"])


def test_a_folder_that_the_study_does_not_plan_is_noted(by_hand):
    (by_hand / "cells" / "digits__bohb__s0").mkdir()
    (by_hand / "cells" / "digits__grid__s0").mkdir()
    results = Results.load(by_hand)
    assert any("digits__bohb__s0 is not a cell of this study" in note for note in results.notes)
    grid = results.cells.set_index("cell").loc["digits__grid__s0"]
    assert (grid["status"], grid["why"]) == ("missing", "its folder has no cell.json")


def test_what_a_cell_says_of_itself(by_hand):
    file = by_hand / "cells" / "digits__fds__s0" / "cell.json"
    record = read_json(file)
    record["ledger"] |= {"residual": 0.004}
    place = {"name": "slice 1", "node": "worker-3", "processor": "a processor", "gpu": None}
    said = {
        "cause": "worker lost",
        "why": "the worker died",
        "slice": place | {"address": "10.0.0.3", "cores": [0], "gpus": []},
        "started": "2026-01-02T03:04:05.123+00:00",
        "memory": {"host": 3_000_000, "device": None},
    }
    write_json(file, record | said)
    cells = Results.load(by_hand).cells.set_index("cell")
    new, old = cells.loc["digits__fds__s0"], cells.loc["digits__fds__s1"]
    assert (new["cause"], new["why"]) == ("worker lost", "the worker died")
    assert (new["slice"], new["node"], new["processor"]) == ("slice 1", "worker-3", "a processor")
    assert new["gpu"] is None
    assert new["started"] == "2026-01-02T03:04:05.123+00:00"
    assert (new["residual"], new["host_memory"]) == (0.004, 3e6)
    assert np.isnan(new["device_memory"])
    assert old[["cause", "why", "slice", "node", "processor", "gpu", "started"]].isna().all()
    assert old[["residual", "host_memory", "device_memory"]].isna().all()
    assert set(PARTS) <= set(cells.columns)


def test_a_part_that_an_older_ledger_lacks_is_empty(by_hand):
    file = by_hand / "cells" / "digits__fds__s0" / "cell.json"
    record = read_json(file)
    del record["ledger"]["parts"]["unfinished"]
    write_json(file, record)
    cells = Results.load(by_hand).cells.set_index("cell")
    assert np.isnan(cells.loc["digits__fds__s0", "unfinished"])
    assert cells.loc["digits__fds__s1", "unfinished"] == 0


def test_when_a_slot_began_and_ended_an_evaluation(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0, 1))
    interval = {"slot": 0, "began": 0.25, "ended": 0.75}
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)], **interval)
    write_cell(tmp_path, "digits", "fds", 1, [Point(1.0, 0.2, 0.2)])
    evaluations = Results.load(tmp_path).evaluations
    assert evaluations["slot"].tolist() == [0, pd.NA]
    assert evaluations["began"].tolist() == [0.25, pytest.approx(np.nan, nan_ok=True)]
    file = tmp_path / "cells" / "digits__fds__s0" / "evaluations.jsonl"
    file.write_text(file.read_text().replace('"began": 0.25', '"began": "soon"'))
    with pytest.raises(RunError, match="line 1: 'began' is 'soon'"):
        Results.load(tmp_path)


def test_times_to_a_target_by_another_clock(by_hand):
    results = Results.load(by_hand)
    steps = results.summary("steps")
    fds = steps[steps["searcher"] == "fds"].iloc[0]
    # The same crossings as by seconds: at 30 s, the seventh evaluation, and never on seed 1.
    assert (fds["steps_to_10_percent"], fds["reached_10_percent"]) == (700, 1)
    assert (fds["steps_to_zero"], fds["reached_zero"]) == (700, 1)
    names = [name.replace("steps_to", "seconds_to") for name in steps.columns]
    assert names == results.summary().columns.tolist()
    assert "slot_seconds_to_zero" in results.summary("slot_seconds")
    with pytest.raises(RunError, match="no clock 'hours'"):
        results.summary("hours")


def test_the_memory_of_a_searcher_is_the_most_of_its_cells(by_hand):
    for seed, host in ((0, 5e8), (1, 7e8)):
        file = by_hand / "cells" / f"digits__fds__s{seed}" / "cell.json"
        write_json(file, read_json(file) | {"memory": {"host": host, "device": None}})
    results = Results.load(by_hand)
    assert row(results, "fds")["host_memory"] == 7e8
    assert math.isnan(row(results, "fds")["device_memory"])
    assert math.isnan(row(results, "random")["host_memory"])


@pytest.mark.parametrize(
    ("name", "said", "held", "torn"),
    [("evaluations", 7, 6, True), ("evaluations", 8, 7, False), ("tests", 6, 5, False)],
)
def test_a_complete_cell_whose_lines_are_not_all_there(by_hand, name, said, held, torn):
    folder = by_hand / "cells" / "digits__fds__s0"
    record = read_json(folder / "cell.json") | {"evaluations": 7, "tests": 5}
    write_json(folder / "cell.json", record)
    assert intact(folder) is None
    assert Results.load(by_hand).notes == ()
    write_json(folder / "cell.json", record | {name: said})
    if torn:
        file = folder / f"{name}.jsonl"
        file.write_bytes(file.read_bytes()[:-20])
    why = f"its {name}.jsonl holds {held} of {said} {name}"
    assert intact(folder) == why
    note = f"cells/digits__fds__s0: {why}; hpobench resume runs the cell again"
    assert note in Results.load(by_hand).notes
    write_json(folder / "cell.json", record | {name: said, "status": "interrupted"})
    assert note not in Results.load(by_hand).notes


def test_a_complete_cell_without_its_file(by_hand):
    folder = by_hand / "cells" / "digits__fds__s0"
    assert intact(folder) is None  # it does not say how many there are
    write_json(folder / "cell.json", read_json(folder / "cell.json") | {"evaluations": 7})
    (folder / "evaluations.jsonl").unlink()
    assert intact(folder) == "its evaluations.jsonl holds 0 of 7 evaluations"


def test_a_complete_cell_that_is_damaged_inside(by_hand):
    file = by_hand / "cells" / "digits__fds__s0" / "evaluations.jsonl"
    file.write_text(file.read_text().replace('"seconds"', "seconds", 1))
    with pytest.raises(RunError, match=r"digits__fds__s0/evaluations\.jsonl, line 1 is damaged"):
        intact(file.parent)


def test_what_a_resume_would_still_do_is_told(tmp_path) -> None:
    complete = write_run(tmp_path / "complete", failed=["digits__fds__s0"])
    study = json.loads((complete / "study.json").read_text())
    write_json(complete / "study.json", study | {"yardstick_draws": 5})
    assert Results.load(complete).unfinished == ()
    lines = (complete / "yardsticks.jsonl").read_text().splitlines(keepends=True)
    (complete / "yardsticks.jsonl").write_text("".join(lines[:-1]))
    assert Results.load(complete).unfinished == ("the yardsticks of digits",)
    disturbed = write_disturbed_run(tmp_path / "disturbed")
    assert Results.load(disturbed).unfinished == ("1 of 8 cells",)
