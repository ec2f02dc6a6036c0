"""What W&B is told: read back from its own files, and held against the run's records."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import shutil
import time
from base64 import b64encode
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from hpobench.errors import TrackingError
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from hpobench.tracking.wandb import files as wandb_files
from hpobench.tracking.wandb import process
from hpobench.tracking.wandb.track import runs_of, track
from hpobench.tracking.wandb.writer import FINGERPRINT
from tests.hpobench.fake_replay import write_replay
from tests.hpobench.fake_run import (
    MEMORY,
    Point,
    write_cell,
    write_run,
    write_study,
    write_yardsticks,
)
from tests.hpobench.tracking.wandb.wandb_file import BLOCK, WandbFile
from tests.hpobench.tracking.wandb.wandb_server import KEY, serving

pytestmark = [
    pytest.mark.usefixtures("no_account"),
    pytest.mark.slow,  # each track is a process of W&B's
]

PARTS = {"train": 0.05, "search": 0.01}
FAILED, MISSING, LONG = "digits__random__s1", "digits__grid__s0", "digits__fds__s2"


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run with a failed cell, a missing one, and a long one whose regret ends above its best."""
    folder = tmp_path_factory.mktemp("runs") / "example-20250101-120000"
    searchers = ("fds", "random", "grid")
    write_run(
        folder, searchers=searchers, failed=[FAILED], missing=[MISSING], budget=60, parts=PARTS
    )
    points = [Point(0.1 * n, 1 / n, 1 / n, full=n % 2 == 0) for n in range(1, 101)]
    points[50] = Point(5.1, 10.0, None, status="diverged")
    points[99] = Point(10.0, 0.001, 0.5)
    study, names = read_json(folder / "study.json"), {"task": "digits", "searcher": "fds"}
    study["cells"].append({"cell": LONG, **names, "seed": 2})
    write_json(folder / "study.json", study)
    write_yardsticks(folder, "digits", 2)
    write_cell(folder, "digits", "fds", 2, points)
    results = Results.load(folder)
    results.write()
    assert track(results, "offline") == folder / "wandb"
    return folder


@pytest.fixture(scope="module")
def tracked_cell(tmp_path_factory):
    folder = _one_cell(tmp_path_factory.mktemp("runs") / "run")
    track(Results.load(folder), "offline")
    return folder


@pytest.fixture
def small(tracked_cell, tmp_path):
    """A run of one cell, tracked offline, to do with as one likes."""
    return _copy(tracked_cell, tmp_path / "run")


def _copy(folder, target):
    """As if it had been tracked there."""
    for fingerprint in Path(shutil.copytree(folder, target)).glob(f"wandb/*/{FINGERPRINT}"):
        text = fingerprint.read_text().partition("\n")[0]
        fingerprint.write_text(f"{text}\n{fingerprint.parent}")
    return target


def _one_cell(folder, **study):
    write_study(folder, searchers=("fds",), seeds=(0,))
    write_json(folder / "study.json", read_json(folder / "study.json") | study)
    write_yardsticks(folder, "digits", 0)
    write_cell(folder, "digits", "fds", 0, [Point(1.0, 0.3, 0.3), Point(2.0, 0.1, 0.11)])
    return folder


def _read(path):
    """W&B's file; read once for as long as it is the same."""
    return _parsed(path, path.stat().st_mtime_ns)


@cache
def _parsed(path, changed):
    return WandbFile(path)


def _files(folder):
    return {_read(path).run.display_name: path for path in folder.glob("wandb/*/*.wandb")}


def _contents(folder):
    files = [p for p in folder.rglob("*") if p.is_file()]
    return {p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns) for p in files}


def _lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def _number(text):
    return None if text == "" else float(text)


def test_every_cell_that_ended_has_one_run(tracked):
    ended = {f"digits__{s}__s{n}" for s in ("fds", "random", "grid") for n in (0, 1)} - {MISSING}
    names = [_read(path).run.display_name for path in tracked.glob("wandb/*/*.wandb")]
    assert sorted(names) == sorted(ended | {LONG})


def test_a_cell_under_way_has_no_run(tmp_path):
    folder = _one_cell(tmp_path / "run")
    cell = folder / "cells" / "digits__fds__s0" / "cell.json"
    for status in ("running", "measured", "interrupted"):
        write_json(cell, read_json(cell) | {"status": status})
        assert track(Results.load(folder), "online") is None
    assert not (folder / "wandb").exists()


def test_a_run_says_what_it_is(tracked):
    file = _read(_files(tracked)["digits__fds__s1"])
    run, config = file.run, file.config
    assert (run.project, run.run_group, run.job_type) == ("hpobench", tracked.name, "fds")
    assert list(run.tags) == ["example", "digits", "gradient-based"]
    study = read_json(tracked / "study.json")
    assert (config["task"], config["searcher"], config["seed"]) == ("digits", "fds", 1)
    assert config["settings"] == {"windows": 2, "first_step": 0.1}
    for name in ("budget", "width", "versions", "hardware", "created"):
        assert config[name] == study[name]
    for name in ("space", "initial", "default", "budgets", "smaller_budget", "metric"):
        assert config[name] == study["tasks"][0][name]
    assert config["reference"] == read_json(tracked / "references.json")["digits"]
    assert not run.HasField("git")


def test_evaluations_are_those_of_evaluations_jsonl(tracked):
    files = _files(tracked)
    assert files[LONG].stat().st_size > BLOCK  # so records cross blocks here
    names = ("slot_seconds", "steps", "validation_loss", "validation_accuracy", "budget", "full")
    names += ("status",)
    for cell, file in files.items():
        told = [row for row in _read(file).history if "evaluation/wallclock" in row]
        lines = _lines(tracked / "cells" / cell / "evaluations.jsonl")
        assert told == [
            {
                "evaluation/wallclock": line["seconds"],
                "evaluation/number": line["evaluation"],
                **{f"evaluation/{name}": line[name] for name in names},
                **{f"evaluation/parts/{k}": v for k, v in line.get("parts", {}).items()},
                **{f"hyperparameters/{k}": v for k, v in line["hyperparameters"].items()},
            }
            for line in sorted(lines, key=lambda line: line["seconds"])
        ]


def test_the_table_has_every_line_of_evaluations_jsonl_and_its_test(tracked):
    for cell, file in _files(tracked).items():
        folder = tracked / "cells" / cell
        tests = {line["evaluation"]: line for line in _lines(folder / "tests.jsonl")}
        known = {"schema", "cell", "task", "searcher", "seed", "hyperparameters"}
        untested = dict.fromkeys(("test_loss", "test_accuracy"))
        assert _read(file).tables["evaluations"] == [
            {name: value for name, value in line.items() if name not in known}
            | {f"hyperparameters/{k}": v for k, v in line["hyperparameters"].items()}
            | {name: tests.get(line["evaluation"], untested)[name] for name in untested}
            | {name: line.get(name) for name in ("slot", "began", "ended")}
            | {"parts": json.dumps(line["parts"]) if "parts" in line else None}
            for line in _lines(folder / "evaluations.jsonl")
        ]


def test_the_artifact_has_the_files_that_the_cells_numbers_follow_from(tracked):
    for cell, file in _files(tracked).items():
        found = _read(file).artifacts["cell"]
        assert found.name == f"{cell}-{_read(file).run.run_id}"
        assert json.loads(found.metadata)["task"] == "digits"
        names = ["study.json", "references.json", "yardsticks.jsonl"]
        names += [f"cells/{cell}/{n}" for n in ("evaluations.jsonl", "cell.json", "tests.jsonl")]
        digests = {entry.path: entry.digest for entry in found.manifest.contents}
        assert digests == {
            name: b64encode(hashlib.md5((tracked / name).read_bytes()).digest()).decode()
            for name in names
        }
        for entry in found.manifest.contents:  # where an upload finds it
            assert Path(entry.local_path) == tracked / entry.path


def test_changes_are_those_of_regret_csv(tracked):
    with open(tracked / "regret.csv", newline="") as file:
        table = [row for row in csv.DictReader(file) if row["curve"] == "incumbent"]
    names = ("steps", "regret", "normalised_regret", "validation_loss", "test_loss")
    for cell, file in _files(tracked).items():
        told = [row for row in _read(file).history if "wallclock" in row]
        expected = [
            {"wallclock": float(row["seconds"])}
            | {name: _number(row[name]) for name in (*names, "test_accuracy")}
            | {"incumbent_evaluation": _number(row["evaluation"])}
            | {f"incumbent/{k}": v for k, v in _held(tracked, row).items()}
            for row in table
            if row["cell"] == cell
        ]
        assert told == [{k: v for k, v in row.items() if v is not None} for row in expected]
        assert len(told) > 1


def _held(folder, row):
    """The hyperparameters of a row of regret.csv."""
    if row["evaluation"] == "":
        return read_json(folder / "study.json")["tasks"][0]["default"]
    lines = _lines(folder / "cells" / row["cell"] / "evaluations.jsonl")
    return lines[int(row["evaluation"])]["hyperparameters"]


@pytest.mark.parametrize("clock", ["seconds", "steps"])
def test_curves_are_told_at_the_same_places_for_every_cell(tracked, clock):
    longest, x = [], f"over_{clock}/{clock}"
    evaluated = {"seconds": "evaluation/wallclock", "steps": "evaluation/steps"}[clock]
    for file in sorted(_files(tracked).values()):
        history = _read(file).history
        changes = [row for row in history if "wallclock" in row]
        places = [row for row in _read(file).curves if x in row]
        for place in places:
            begun = [
                c for c in changes if c["wallclock" if clock == "seconds" else clock] <= place[x]
            ]
            for name in ("regret", "test_loss", "incumbent/learning_rate_0"):
                assert place.get(f"over_{clock}/{name}") == begun[-1].get(name)
            ended = [row for row in history if row.get(evaluated, 1e9) <= place[x]]
            for part in PARTS:
                spent = sum(row.get(f"evaluation/parts/{part}", 0.0) for row in ended)
                assert place.get(f"over_{clock}/ledger/{part}", 0.0) == pytest.approx(spent)
        grid = [place[x] for place in places]
        longest = max(longest, grid, key=len)
        assert grid == longest[: len(grid)] or grid == longest
        assert grid == sorted(set(grid))
        assert len(grid) > 20
    assert clock == "steps" or longest[-1] == 60.0


def test_rows_are_in_order_of_the_clock(tracked):
    for file in _files(tracked).values():
        history = _read(file).history
        clock = [row.get("wallclock", row.get("evaluation/wallclock")) for row in history]
        assert clock == sorted(clock)
        assert clock[0] == 0.0
        for before, row in pairwise(history):
            if "wallclock" in row:  # the evaluation that made the change comes just before it
                assert before["evaluation/wallclock"] == row["wallclock"]
                assert before["evaluation/validation_loss"] == row["validation_loss"]


def test_curves_are_drawn_over_the_cells_clock(tracked):
    metrics = _read(_files(tracked)["digits__fds__s0"]).metrics
    assert metrics["wallclock"].options.hidden
    assert metrics["regret"].step_metric == "wallclock"
    assert metrics["incumbent/*"].step_metric == "wallclock"
    assert metrics["over_seconds/*"].step_metric == "over_seconds/seconds"
    assert metrics["over_steps/*"].step_metric == "over_steps/steps"
    assert metrics["evaluation/*"].step_metric == "evaluation/wallclock"
    assert metrics["hyperparameters/*"].step_metric == "evaluation/wallclock"


def test_all_that_is_followed_is_there_over_both_clocks(tracked):
    """Regret, validation and test metric, incumbents, ledger and hyperparameters."""
    file = _read(_files(tracked)["digits__fds__s0"])
    measures = ("regret", "validation_loss", "test_loss", "test_accuracy")
    followed = (*measures, "incumbent/learning_rate_0", "incumbent/momentum", "ledger/train")
    for clock in ("seconds", "steps"):
        rows = [row for row in file.curves if f"over_{clock}/{clock}" in row]
        for name in followed:
            assert sum(f"over_{clock}/{name}" in row for row in rows) > 20, (clock, name)
    for row in file.history:
        if "evaluation/wallclock" in row:
            assert row.keys() >= {"evaluation/steps", "hyperparameters/learning_rate_0"}
        else:
            assert row.keys() >= {"wallclock", "steps", "incumbent/learning_rate_0"}


def test_the_summary_is_that_of_the_results(small):
    [file] = _files(small).values()
    summary, [row] = _read(file).summary, Results.load(small).summary().to_dict("records")
    for name in ("final_regret", "seconds_to_10_percent", "thinking_share", "full_evaluations"):
        assert summary[name] == row[name]
    assert summary["final_regret"] == pytest.approx(0.01)
    assert summary["seconds_to_10_percent"] == 2.0
    assert summary["thinking_share"] == 0.25
    assert "seconds_to_zero" not in summary  # not reached
    assert summary["status"] == "complete"
    assert summary["slot_seconds/search"] == 15.0
    assert summary["reached_10_percent"] == 1
    assert summary["seconds_to_10_percent_at_least"] == 2.0
    assert summary["seconds_to_zero_at_least"] == 60.0  # all that it had
    assert summary["reached_zero"] == 0
    assert summary["incumbent/momentum"] == 0.9


def test_the_summary_has_the_ledger_and_the_peak_memory(tracked):
    summary = _read(_files(tracked)["digits__fds__s0"]).summary
    assert summary["host_memory"] == MEMORY["host"]
    assert "device_memory" not in summary
    assert (summary["wall"], summary["slots"], summary["startup"]) == (60.0, 1, 2.5)
    assert summary["residual"] == 0.0
    parts = [value for name, value in summary.items() if name.startswith("slot_seconds/")]
    assert sum(parts) == 60.0


def test_the_final_regret_is_the_last_one_not_the_smallest(tracked):
    for cell, file in _files(tracked).items():
        summary = _read(file).summary
        regrets = [row["regret"] for row in _read(file).history if "regret" in row]
        assert summary["regret"] == regrets[-1]
        assert cell == FAILED or summary["final_regret"] == regrets[-1]
        assert cell != LONG or min(regrets) < 0.0 < regrets[-1]


def test_a_replay_is_in_summary_and_artifact_and_leaves_the_history_alone(tracked, tmp_path):
    folder = _copy(tracked, tmp_path / tracked.name)
    before = {run.name: run for run in runs_of(Results.load(folder))}
    assert all("replay_regret" not in run.summary for run in before.values())
    results = write_replay(folder, at=(1.0, math.inf))
    track(results, "offline")
    files = {cell: _read(file) for cell, file in _files(folder).items()}
    assert files.keys() == before.keys()
    frame = results.replay().query("at == 'end'")
    for cell, file in files.items():
        mine = frame[frame["cell"] == cell]
        for name, column in (("replay_regret",) * 2, ("replay_test_loss", "test_loss")):
            mean = mine[column].mean()
            assert file.summary.get(name, math.nan) == pytest.approx(mean, nan_ok=True)
        assert ("replay_regret" in file.summary) == (cell != FAILED)
        assert [*file.history, *file.curves] == before[cell].history
        digests = {e.path: e.digest for e in file.artifacts["cell"].manifest.contents}
        for name in ("replay.json", "replay.jsonl", "replay.csv", "replay_times.csv"):
            md5 = hashlib.md5((folder / name).read_bytes()).digest()
            assert digests[name] == b64encode(md5).decode()
    [row] = results.replay_summary().query("searcher == 'grid' and at == 'end'").to_dict("records")
    assert files["digits__grid__s1"].summary["replay_regret"] == pytest.approx(row["replay_regret"])


def test_an_incumbent_that_was_not_replayed_in_full_has_no_replay_regret(tmp_path):
    folder = write_run(tmp_path / "run", seeds=(0,))
    write_replay(folder)
    file = folder / "replay.jsonl"
    lines = [line for line in _lines(file) if line.get("searcher") != "fds" or line["draw"] == 0]
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    summaries = {run.name: run.summary for run in runs_of(Results.load(folder))}
    assert "replay_regret" in summaries["digits__random__s0"]
    assert "replay_regret" not in summaries["digits__fds__s0"]
    json.dumps([*summaries.values()], allow_nan=False)


def test_a_failed_cell_is_a_failed_run_without_a_final_regret(tracked):
    files = _files(tracked)
    file = _read(files[FAILED])
    assert [end.exit_code for end in file.exits] == [1]
    assert file.summary["status"] == "failed"
    assert file.summary["cause"] == "searcher error"
    assert "not positive definite" in file.summary["why"]
    assert "final_regret" not in file.summary
    assert [end.exit_code for end in _read(files["digits__fds__s0"]).exits] == [0]


def test_what_was_not_measured_is_left_out(tmp_path):
    folder = write_study(tmp_path / "run", searchers=("fds",), seeds=(0,))
    write_json(folder / "references.json", {"digits": None})
    points = [Point(1.0, 0.3, 0.3), Point(2.0, 0.2, None), Point(3.0, None, None, status="failed")]
    write_cell(folder, "digits", "fds", 0, points, accuracy=None)
    [run] = runs_of(Results.load(folder))
    history = run.history
    told = [[k for k in row if "incumbent" not in k] for row in history if "wallclock" in row]
    assert [sorted(row) for row in told] == [
        ["steps", "wallclock"],
        ["steps", "test_loss", "validation_loss", "wallclock"],
        ["steps", "validation_loss", "wallclock"],
    ]
    assert "seconds_to_zero_at_least" not in run.summary
    [failed] = [row for row in history if row.get("evaluation/status") == "failed"]
    assert "evaluation/validation_loss" not in failed
    assert run.config["reference"] is None
    assert "final_regret" not in run.summary
    json.dumps([run.history, run.summary, run.table], allow_nan=False)


def test_tracking_again_changes_nothing(tracked):
    before = _contents(tracked)
    track(Results.load(tracked), "offline")
    assert _contents(tracked) == before


def test_what_was_cut_off_is_written_again_in_place(small):
    [file] = _files(small).values()
    file.write_bytes(file.read_bytes()[:1000])
    (file.parent / FINGERPRINT).unlink()  # which comes last
    track(Results.load(small), "offline")
    [file] = small.glob("wandb/*/*.wandb")
    [run] = runs_of(Results.load(small))
    written = _read(file)
    assert [*written.history, *written.curves] == run.history


def test_a_folder_that_was_moved_is_written_again_until_it_is_uploaded(tracked_cell, tmp_path):
    """W&B's file names the files of its artifact by where they are."""
    moved = Path(shutil.copytree(tracked_cell, tmp_path / "run"))
    track(Results.load(moved), "offline")
    [file] = _files(moved).values()
    for entry in _read(file).artifacts["cell"].manifest.contents:
        assert Path(entry.local_path) == moved / entry.path
    file.with_suffix(".wandb.synced").touch()
    again = Path(shutil.move(moved, tmp_path / "again" / "run"))
    before = _contents(again)
    track(Results.load(again), "offline")
    assert _contents(again) == before


def test_a_file_of_the_artifact_that_changed_is_written_again(small):
    [before] = runs_of(Results.load(small))
    with open(small / "cells" / "digits__fds__s0" / "cell.json", "a") as file:
        file.write("\n")
    [after] = runs_of(Results.load(small))
    assert before.fingerprint != after.fingerprint
    assert before.id == after.id


def test_an_id_belongs_to_one_cell_of_one_run(tmp_path):
    folders = [tmp_path / name for name in "abc"]
    studies: list[dict] = [{}, {}, {"created": "x"}]
    for folder, study in zip(folders, studies, strict=True):
        _one_cell(folder, **study)
    [here], [moved], [later] = (runs_of(Results.load(folder)) for folder in folders)
    assert here.id == moved.id != later.id
    folder = write_run(tmp_path / "d")
    ids = [run.id for run in runs_of(Results.load(folder))]
    assert len(set(ids)) == len(ids) == 4


def test_offline_needs_nothing_tells_nobody_and_obeys_its_argument(tmp_path, monkeypatch, capfd):
    folder = _one_cell(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    with serving() as server:
        hostile = {"MODE": "disabled", "API_KEY": KEY, "RUN_ID": "theirs", "PROJECT": "theirs"}
        hostile |= {"DIR": str(tmp_path / "theirs"), "RESUME": "must", "BASE_URL": server.url}
        hostile |= {"NAME": "theirs", "RUN_GROUP": "theirs", "TAGS": "theirs", "SWEEP_ID": "theirs"}
        for name, value in hostile.items():
            monkeypatch.setenv(f"WANDB_{name}", value)
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
            monkeypatch.setenv(name, server.url)  # so that a call to anybody would be seen
        environment = dict(os.environ)
        track(Results.load(Path("run")), "offline")
    assert dict(os.environ) == environment
    assert server.requests == []
    assert capfd.readouterr() == ("", "")
    [file] = _files(folder).values()
    assert b"theirs" not in file.read_bytes()
    assert not (tmp_path / "theirs").exists()
    assert all(KEY.encode() not in content for content, _ in _contents(tmp_path).values())
    left = ["artifacts", "files", FINGERPRINT, file.name]
    assert sorted(p.name for p in file.parent.iterdir()) == left
    assert not (tmp_path / "home").exists()


def test_online_uploads_each_run_once(tracked, tmp_path, account, capfd):
    folder = _copy(tracked, tmp_path / tracked.name)
    results = Results.load(folder)
    track(results, "online")
    told = runs_of(results)
    assert sorted(account.runs) == sorted(run.id for run in told)
    for run in told:
        *rows, table = [row for _, row in sorted(account.history[run.id].items())]
        assert table["evaluations"]["nrows"] == len(run.table["data"])
        assert [{k: v for k, v in r.items() if k[0] != "_"} for r in rows] == run.history
        assert account.runs[run.id]["displayName"] == run.name
        assert account.runs[run.id]["exitcode"] == int(run.failed)
        uploaded = account.artifacts[f"{run.name}-{run.id}"]
        assert uploaded == {name: (folder / name).read_bytes() for name in run.files}
        [content] = account.artifacts[f"run-{run.id}-evaluations"].values()
        assert json.loads(content)["data"] == run.table["data"]
    account.operations.clear()
    before = _contents(folder)
    track(Results.load(folder), "online")
    asked = list(account.operations)
    assert "UpsertBucket" not in asked
    track(Results.load(folder), "offline")
    assert _contents(folder) == before
    assert account.operations == asked
    assert capfd.readouterr() == ("", "")
    assert all(KEY.encode() not in content for content, _ in _contents(tmp_path).values())


def test_what_was_refused_is_uploaded_next_time_and_what_changed_since_replaces_it(small, account):
    account.stream_status = 403
    with pytest.raises(TrackingError, match="did not take every run"):
        track(Results.load(small), "online")
    account.stream_status = 200
    track(Results.load(small), "online")
    [run] = runs_of(Results.load(small))
    assert len(account.history[run.id]) == len(run.history) + 1  # and the table

    [first] = _files(small).values()
    write_yardsticks(small, "digits", 0, reference=(0.2, 0.2))  # measured anew
    track(Results.load(small), "online")
    [second] = small.glob("wandb/*/*.wandb")
    assert second.name == first.name  # written in its place, of the same id
    assert _read(second).summary["final_regret"] == pytest.approx(-0.09)
    [run] = runs_of(Results.load(small))
    assert list(account.runs) == [run.id]
    *told, _ = account.history[run.id].values()
    assert [row.get("regret") for row in told] == [row.get("regret") for row in run.history]


def _refused(folder):
    """Tracking online fails in one line, and leaves all as it was but W&B's notes on its trial."""
    before = _contents(folder)
    with pytest.raises(TrackingError) as caught:
        track(Results.load(folder), "online")
    line = str(caught.value)
    assert "\n" not in line
    assert KEY not in line
    assert f"`hpobench wandb sync {folder}`" in line
    after = _contents(folder)
    assert after.items() >= before.items()
    notes = [p.name for p in after.keys() - before.keys()]
    assert all(n.startswith("debug-") or n.endswith(".syncstate") for n in notes)
    assert all(KEY.encode() not in content for content, _ in after.values())
    return line


def test_no_key(small):
    line = _refused(small)
    assert "No API key" in line
    assert "`wandb login`" in line


def test_no_network(small, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB__GRAPHQL_RETRY_MAX", "1")
    line = _refused(small)
    assert "connection refused" in line
    assert "check the network" in line


def test_a_server_that_never_answers_is_given_up(small, account, monkeypatch):
    account.silent = True
    monkeypatch.setattr(process, "PATIENCE_SECONDS", 3.0)
    began = time.monotonic()
    assert "no answer for 3 s" in _refused(small)
    assert time.monotonic() - began < 60  # a part of the minute that is its patience otherwise


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))  # where W&B would go instead
    [run] = runs_of(Results.load(_one_cell(tmp_path / "run")))
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"could not write 1 of 1 runs .* cannot be written to"):
        wandb_files.write(tmp_path / "file" / "wandb", [run])


def test_another_mode_is_refused(tmp_path):
    folder = _one_cell(tmp_path / "run")
    with pytest.raises(TrackingError, match="offline or online, not 'off'"):
        track(Results.load(folder), "off")
    assert not (folder / "wandb").exists()


def test_keys_unknown_here_do_no_harm(tmp_path):
    folder = write_study(tmp_path / "run", searchers=("fds",), seeds=(0,))
    write_json(folder / "study.json", read_json(folder / "study.json") | {"later": {"a": [1]}})
    write_cell(folder, "digits", "fds", 0, [Point(1.0, 0.3, 0.3)], later=[None, {"b": 2}])
    [run] = runs_of(Results.load(folder))
    assert sum("over" not in name for row in run.history for name in list(row)[:1]) == 3
    assert run.table["data"][0][run.table["columns"].index("later")] == '[null, {"b": 2}]'
