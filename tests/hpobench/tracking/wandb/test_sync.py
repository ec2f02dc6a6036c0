"""Where runs are uploaded to: other servers, other accounts, and what was deleted there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hpobench.errors import TrackingError
from hpobench.results.json_files import read_json
from hpobench.results.run import Results
from hpobench.tracking.wandb.lookup import Place, look_up
from hpobench.tracking.wandb.track import runs_of, track
from tests.hpobench.tracking.wandb.wandb_server import ENTITY, KEY, PROJECT, serving

pytestmark = [
    pytest.mark.usefixtures("no_account"),
    pytest.mark.slow,  # each question is a process of W&B's
]

ALL, NONE = (
    (0, "uploaded: 2 of 2 runs"),
    (0, "uploaded: 0 of 2 runs; the others were there already"),
)
ONE = (0, "uploaded: 1 of 2 runs; the others were there already")
UPLOAD = "UpsertBucket"


@pytest.fixture
def other():
    with serving() as server:
        yield server


def _ids(folder):
    return sorted(run.id for run in runs_of(Results.load(folder)))


def _there(server, entity=ENTITY, project=PROJECT):
    return sorted(name for *place, name in server.there if place == [entity, project])


def _marks(folder):
    return sorted(folder.glob("wandb/*/*.synced"))


def test_each_server_is_asked_what_it_has(folder, wandb, account, other, monkeypatch):
    assert wandb("sync", folder) == ALL
    monkeypatch.setenv("WANDB_BASE_URL", f"{other.url}/")
    assert wandb("sync", folder) == ALL
    assert _there(other) == _there(account) == _ids(folder)
    assert wandb("sync", folder) == NONE
    monkeypatch.setenv("WANDB_BASE_URL", account.url)
    account.operations.clear()
    assert wandb("sync", folder) == NONE  # the mark says both
    assert UPLOAD not in account.operations
    for mark in _marks(folder):
        said = [json.loads(line) for line in mark.read_text().splitlines()]
        aim = {"entity": ENTITY, "project": PROJECT}
        assert said == [{"server": server.url, **aim} for server in (account, other)]


def test_the_server_is_that_of_wandbs_settings(folder, wandb, account, other, monkeypatch):
    assert wandb("sync", folder) == ALL
    monkeypatch.delenv("WANDB_BASE_URL")
    settings = Path.home() / ".config" / "wandb" / "settings"
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[default]\nbase_url = {other.url}\n")
    assert wandb("sync", folder) == ALL
    assert _there(other) == _ids(folder)
    assert wandb("sync", folder) == NONE


def test_each_account_has_its_own(folder, wandb, account, monkeypatch):
    assert wandb("sync", folder) == ALL
    account.entity = "another"  # as of another key
    assert wandb("sync", folder) == ALL
    assert _there(account, "another") == _ids(folder)
    assert wandb("sync", folder) == NONE
    assert wandb("sync", folder, "--entity", ENTITY) == NONE
    monkeypatch.setenv("WANDB_ENTITY", "a-team")
    assert wandb("sync", folder) == ALL
    assert _there(account, "a-team") == _ids(folder)


def test_what_was_deleted_there_is_uploaded_again(folder, wandb, account):
    assert wandb("sync", folder) == ALL
    gone, kept = _ids(folder)
    account.delete(gone)
    account.history[kept].clear()
    assert wandb("sync", folder) == ONE
    assert _there(account) == [gone, kept]
    assert account.history[gone]
    assert not account.history[kept]  # it was left alone
    account.delete(gone)
    track(Results.load(folder), "online")  # as `run` and `resume` do
    assert _there(account) == [gone, kept]


@pytest.mark.parametrize("status", [410, 409])
def test_what_may_not_come_back_is_said(folder, wandb, account, status):
    """W&B's own servers keep the id of a deleted run."""
    assert wandb("sync", folder) == ALL
    gone, kept = _ids(folder)
    account.delete(gone)
    account.deleted, account.deleted_status = {gone}, status
    code, said = wandb("sync", folder)
    assert code == 2
    assert "restore it there, or choose another --project" in said
    assert _there(account) == [kept]
    assert wandb("sync", folder)[0] == 2  # it is not taken for uploaded
    account.deleted.clear()
    assert wandb("sync", folder) == ONE
    assert _there(account) == [gone, kept]


def test_a_refusal_here_forgets_no_other_server(folder, wandb, account, other, monkeypatch):
    assert wandb("sync", folder) == ALL
    monkeypatch.setenv("WANDB_BASE_URL", other.url)
    other.stream_status = 403
    assert wandb("sync", folder)[0] == 2
    monkeypatch.setenv("WANDB_BASE_URL", account.url)
    assert wandb("sync", folder) == NONE
    other.stream_status = 200
    monkeypatch.setenv("WANDB_BASE_URL", other.url)
    assert wandb("sync", folder) == ALL


@pytest.mark.parametrize("old", ["", json.dumps({"entity": None, "project": PROJECT})])
def test_a_mark_that_names_no_server_is_not_believed(folder, wandb, account, old):
    track(Results.load(folder), "offline")
    for file in folder.glob("wandb/*/*.wandb"):
        file.with_suffix(".wandb.synced").write_text(old)
    assert wandb("sync", folder) == ALL
    assert _there(account) == _ids(folder)
    for mark in _marks(folder):  # and if it is there, it may be an older version
        mark.write_text(old)
    assert wandb("sync", folder) == ALL
    assert wandb("sync", folder) == NONE


def test_again_uploads_everything(folder, wandb, account):
    assert wandb("sync", folder) == ALL
    account.history.clear()
    assert wandb("sync", folder) == NONE
    assert wandb("sync", folder, "--again") == ALL
    assert sorted(account.history) == _ids(folder)
    assert wandb("sync", folder) == NONE


def test_a_moved_folder_brings_its_artifacts_to_another_server(
    folder, tmp_path, wandb, account, other, monkeypatch
):
    assert wandb("sync", folder) == ALL
    moved = Path(shutil.move(folder, tmp_path / "moved" / "run"))
    assert wandb("sync", moved) == NONE
    monkeypatch.setenv("WANDB_BASE_URL", other.url)
    assert wandb("sync", moved) == ALL
    for run in runs_of(Results.load(moved)):
        uploaded = other.artifacts[f"{run.name}-{run.id}"]
        assert uploaded == {name: (moved / name).read_bytes() for name in run.files}


def test_a_server_that_does_not_answer_is_said_in_one_line(folder, wandb, account, monkeypatch):
    assert wandb("sync", folder) == ALL
    before = [mark.read_text() for mark in _marks(folder)]
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    for options in ([], ["--again"]):
        code, said = wandb("sync", folder, *options)
        assert code == 2
        assert "connection refused" in said
        assert "check the network" in said
    with pytest.raises(TrackingError, match="connection refused"):
        track(Results.load(folder), "online")
    assert [mark.read_text() for mark in _marks(folder)] == before


def test_the_reports_line_counts_what_its_project_lacks(folder, wandb, account, other, monkeypatch):
    def report(project=PROJECT):
        return wandb("report", folder, "--entity", ENTITY, "--project", project, hints=[])[1]

    def missing(many, project=PROJECT):
        command = f"hpobench wandb sync {folder} --entity {ENTITY} --project {project}"
        hint = f"it draws uploaded runs, and {many} are not: {command}"
        options = ("--entity", ENTITY, "--project", project)
        assert wandb("report", folder, *options, hints=[hint])[0] == 0

    assert wandb("sync", folder) == ALL
    address = report()
    account.projects.add("mine")
    missing(2, "mine")
    account.delete(_ids(folder)[0])
    missing(1)
    assert wandb("sync", folder) == ONE
    assert report() == address
    monkeypatch.setenv("WANDB_BASE_URL", other.url)
    missing(2)


def test_a_report_of_the_same_number_on_another_server_is_let_be(
    folder, wandb, account, other, monkeypatch
):
    assert wandb("report", folder, "--entity", ENTITY)[0] == 0
    [(key, [mine])] = account.reports.items()
    theirs = mine | {"description": "another study's"}
    other.reports[key] = [theirs]
    monkeypatch.setenv("WANDB_BASE_URL", other.url)
    assert wandb("report", folder, "--entity", ENTITY)[0] == 0
    assert other.reports[key] == [theirs]
    assert len(other.reports) == 2
    assert read_json(folder / "wandb" / "report.json")["server"] == other.url


def test_many_runs_are_asked_for_in_parts(tmp_path, account):
    ids = [f"{number:016x}" for number in range(230)]
    account.there = {(ENTITY, PROJECT, name) for name in ids[::2]}
    found = look_up(tmp_path, ids, None, PROJECT)
    assert found.place == Place(account.url, ENTITY, PROJECT)
    assert found.ids == set(ids[::2])
    assert account.operations.count("Runs") == 3


def test_a_key_without_an_entity_is_told_to_name_one(tmp_path, account):
    account.entity = ""
    with pytest.raises(TrackingError, match="name one with --entity"):
        look_up(tmp_path, ["a"], None, PROJECT)
    assert look_up(tmp_path, ["a"], ENTITY, PROJECT).ids == set()
    assert KEY not in repr(list(tmp_path.rglob("*")))
