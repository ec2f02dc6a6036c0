"""`hpobench wandb sync` and `report`: the command line, against a server of the tests' own."""

from __future__ import annotations

import copy
import html
import json
import re

import pytest

from hpobench.report import figures
from hpobench.report.clocks import CLOCKS
from hpobench.report.conclusions import answers, further, verdict
from hpobench.report.figures.regret import REGRET
from hpobench.report.page import document
from hpobench.report.page import notes as page_notes
from hpobench.report.page.document import render_report
from hpobench.report.tables.ledger import MEANING
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from hpobench.results.targets import TARGET_MEANINGS
from hpobench.tracking.wandb.panels import SPREAD
from hpobench.tracking.wandb.report import marker, report_of
from hpobench.tracking.wandb.track import runs_of, study_id
from tests.hpobench.fake_replay import write_replay
from tests.hpobench.fake_run import write_run, write_study
from tests.hpobench.tracking.wandb.wandb_server import KEY

pytestmark = pytest.mark.usefixtures("no_account")

TASKS, ENTITY = ("digits", "spirals"), ("--entity", "someone")
UPLOAD = "UpsertBucket"
FAILED, MISSING = "digits__random__s1", "spirals__fds__s1"


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Two tasks, one without a reference; a failed and a missing cell."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    without = {"failed": [FAILED], "missing": [MISSING], "without_reference": ["spirals"]}
    return Results.load(write_run(folder, TASKS, **without))


def _texts(record):
    """All texts of a nested record."""
    if isinstance(record, str):
        return [record]
    inner = record.values() if isinstance(record, dict) else record
    return [t for i in inner if isinstance(i, (str, list, dict)) for t in _texts(i)]


def _blocks(results):
    return report_of(results, "someone", "hpobench")["blocks"]


def _grids(results, blocks):
    """By task its panels: the one that opens the report, and the others."""
    grids, tasks = [b for b in blocks if b["class"] == "PanelGrid"], len(results.tasks)
    return {
        task: rest | {"panels": [*opening["panels"], *rest["panels"]]}
        for task, opening, rest in zip(results.tasks, grids[:tasks], grids[tasks:], strict=True)
    }


@pytest.fixture(scope="module")
def blocks(results):
    """Those of the report of ``results``."""
    return _blocks(results)


@pytest.fixture(scope="module")
def grids(results, blocks):
    """Its panels, by task."""
    return _grids(results, blocks)


def test_the_report_opens_with_the_verdict_and_says_what_is_missing(results, blocks):
    opening = ["Verdict", *verdict(answers(results))]
    assert [block["text"] for block in blocks[: len(opening)]] == opening
    pictures = blocks[len(opening) : len(opening) + len(TASKS)]
    assert [len(grid["panels"]) for grid in pictures] == [1] * len(TASKS)
    assert pictures[0]["panels"][0]["title"].startswith("Regret of the incumbent over seconds")
    first = [block.get("text") for block in blocks].index("To keep in mind:")
    notes = blocks[first + 1]
    assert any("random: 1 failed (searcher error)" in note for note in notes["items"])
    assert any("fds: 1 missing" in note for note in notes["items"])
    assert any("spirals has no reference" in note for note in notes["items"])


def test_what_cannot_be_said_is_named_and_the_rest_is_reported(results, blocks, monkeypatch):
    def fails(*_):
        raise ValueError("planted")

    for part in ("answers", "replay_section", "pairs_tables"):
        monkeypatch.setattr(document, part, fails)
    monkeypatch.setattr(page_notes, "price_notes", fails)
    told = _texts(_blocks(results))
    for part in ("the answer in words", "the table of what was trained again"):
        assert any(text.startswith(f"{part} could not be made: ValueError") for text in told)
    assert any(text.startswith("the note prices-digits could not be made") for text in told)
    lost = {*_texts(blocks)} - {*told}
    assert lost <= {*verdict(answers(results)), *further(results, answers(results))}


def _on_the_page(results):
    """The verdict and the notes as a reader of the page has them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", (REGRET,))  # to draw all of them takes long
        page = render_report(results)
    [answer] = re.findall(r'<div class="answer">(.*?)</div>', page, re.S)
    [notes] = re.findall(r'<div class="notes".*?<ul>(.*?)</ul>', page, re.S)
    said = re.findall(r"<p>(.*?)</p>", answer, re.S)
    said += re.findall(r'<p class="further">(.*?)</p>', page, re.S)
    found = said, re.findall(r"<li>(.*?)</li>", notes, re.S)
    return tuple([html.unescape(text) for text in texts] for texts in found)


def _in_the_report(draft):
    """The same in the JSON of the report: what stands between its first two headings."""
    blocks = draft["spec"]["blocks"]
    first, second = [i for i, b in enumerate(blocks) if b["type"] == "heading"][:2]
    [verdict] = blocks[first]["children"]
    assert verdict["text"] == "Verdict"
    opening = blocks[first + 1 : second]
    told = [b["children"][0]["text"] for b in opening if b["type"] == "paragraph"]
    listed = [i["children"][0] for b in opening if b["type"] == "list" for i in b["children"]]
    return told[:-1], [item["children"][0]["text"] for item in listed]


@pytest.mark.slow
def test_verdict_and_notes_are_word_for_word_those_of_the_page(tmp_path, wandb):
    searchers = ("fds", "random", "grid")
    absent = {"failed": ["digits__grid__s1"], "missing": [MISSING]}
    folder = write_run(tmp_path / "run", TASKS, searchers, range(6), **absent)
    references = read_json(folder / "references.json")
    outdated = {"kind": "best observed", "provenance": {"instead_of": "that of another digits"}}
    write_json(
        folder / "references.json", {"digits": references["digits"] | outdated, "spirals": None}
    )
    assert wandb("report", folder, *ENTITY, "--dry-run")[0] == 0
    draft = read_json(folder / "wandb" / "report-draft.json")
    results = Results.load(folder)
    said, notes = _on_the_page(results)
    assert _in_the_report(draft) == (said, notes)
    found = answers(results)
    assert said == [*verdict(found), *further(results, found)]
    assert any("Holm" in sentence for sentence in said)
    for words in ("best that this study came upon", "not from that of another digits", "1 missing"):
        assert any(words in note for note in notes), words


def test_every_spread_is_labelled_as_the_range_that_it_is(grids):
    for grid in grids.values():
        grouped = [panel for panel in grid["panels"] if "groupby" in panel]
        assert len(grouped) >= 8
        for panel in grouped:
            assert (panel["groupby_aggfunc"], panel["groupby_rangefunc"]) == ("median", "minmax")
            assert panel["groupby"] == "config.searcher"
            assert panel["title"].endswith(SPREAD)
            assert "range" in SPREAD
            assert "not an interval" in SPREAD


@pytest.mark.slow
def test_panels_draw_what_the_runs_have(tmp_path):
    """Every name that a panel asks for is one that some run of its task has."""
    results = write_replay(write_run(tmp_path / "run", TASKS, without_reference=["spirals"]))
    runs = [run for run in runs_of(results) if not run.failed]
    for task, grid in _grids(results, _blocks(results)).items():
        mine = [run for run in runs if run.config["task"] == task]
        history = {name for run in mine for row in run.history for name in row}
        summary = {name for run in mine for name in run.summary} | history
        assert sum("replay" in m["name"] for p in grid["panels"] for m in p.get("metrics", [])) == 1
        for panel in grid["panels"]:
            for name in [panel["x"], *panel["y"]] if panel["class"] == "LinePlot" else []:
                assert name in history, panel["title"]
            for metric in panel.get("metrics", []):
                assert metric["name"] in summary, panel["title"]


def test_a_run_set_is_the_complete_cells_of_a_task(results, grids):
    for task, grid in grids.items():
        [run_set] = grid["runsets"]
        filters = f"Config('study_id') = '{study_id(results.study)}' and Config('task') = '{task}'"
        assert run_set["filters"] == f"{filters} and State = 'finished'"


def test_without_a_reference_there_is_no_regret_and_no_time_to_a_target(grids):
    for task, shown in (("digits", True), ("spirals", False)):
        titles = " ".join(panel.get("title", "") for panel in grids[task]["panels"])
        for target in TARGET_MEANINGS.values():
            assert (f"Seconds to {target} (" in titles) == shown
        for clock in ("seconds", "training steps"):
            assert (f"Regret of the incumbent over {clock}, by searcher" in titles) == shown
            for curve in ("Test cross-entropy", "Validation cross-entropy", "momentum"):
                assert f"{curve} of the incumbent over {clock}, by searcher" in titles
            assert f"learning_rate of the incumbent over {clock}, by searcher" in titles
        assert "Slot-seconds of a cell by part" in titles
        assert "Peak memory of a slot" in titles
        assert "Schedule of learning_rate" in titles
        assert "trained again" not in titles


def test_a_replay_is_told_and_drawn(tmp_path):
    results = write_replay(write_run(tmp_path / "run"), at=(20.0, float("inf")))
    blocks = _blocks(results)
    tables = [block["text"].splitlines() for block in blocks if block["class"] == "MarkdownBlock"]
    _, replayed, over_time, sooner = tables
    rows = results.replay_summary().query("at == 'end'")
    assert [line.split(" | ")[0] for line in replayed[2:]] == [f"| {s}" for s in rows["searcher"]]
    assert all(line.count("|") == replayed[0].count("|") == 6 for line in replayed)
    assert over_time[0] == "| searcher | 20 s | the end |"
    assert all(line.count("|") == sooner[0].count("|") == 6 for line in sooner)
    titles = [panel.get("title", "") for panel in _grids(results, blocks)["digits"]["panels"]]
    assert sum("trained again on fresh draws" in title for title in titles) == 1


def test_a_log_axis_only_for_what_is_above_zero(results, grids):
    def log(task, name):
        panels = {panel.get("title", ""): panel for panel in grids[task]["panels"]}
        return next(panel["log_y"] for title, panel in panels.items() if title.startswith(name))

    regret = results.regret()
    below = regret[(regret["task"] == "digits") & (regret["status"] == "complete")]["regret"] < 0
    assert below.any()
    assert not log("digits", "Regret of the incumbent over seconds")
    assert log("digits", "Test cross-entropy")


def test_the_method_says_what_every_searcher_is_given(results, blocks):
    texts = "\n".join(_texts(blocks))
    task = results.task("digits")
    for words in (
        *task["space"].values(),
        "measured from the searched reference",
        "from the moment its slots are warm",
        "momentum = 0.9",
        "windows = 2, first_step = 0.1",
        "60 seconds for each cell",
        "a grid, then a long random search",
        *(words.meaning for words in CLOCKS.values()),
        *MEANING.values(),
    ):
        assert words in texts


@pytest.mark.slow
def test_a_dry_run_writes_the_reports_json_and_needs_nothing(folder, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    code, said = wandb("report", folder, *ENTITY, "--project", "mine", "--dry-run")
    draft = folder / "wandb" / "report-draft.json"
    assert (code, said) == (0, f"draft: {draft}")
    told = read_json(draft)
    assert (told["entity"], told["project"]) == ("someone", "mine")
    assert marker(Results.load(folder)) in told["description"]
    grids = [b["metadata"] for b in told["spec"]["blocks"] if b["type"] == "panel-grid"]
    asked = [b for b in report_of(Results.load(folder), "e", "p")["blocks"] if "panels" in b]
    for grid, own in zip(grids, asked, strict=True):
        panels = grid["panelBankSectionConfig"]["panels"]
        titles = [panel["config"].get("chartTitle", "") for panel in panels]
        assert titles == [panel.get("title", "") for panel in own["panels"]]
        kinds = {p["viewType"] for p in panels}
        assert kinds in ({"Run History Line Plot"}, {"Run History Line Plot", "Bar Chart", "Weave"})
        [run_set] = grid["runSets"]
        assert {f["key"]["name"] for f in run_set["filters"]["filters"]} == {
            "study_id",
            "task",
            "state",
        }
    assert sorted(p.name for p in (folder / "wandb").iterdir()) == ["report-draft.json"]
    before = draft.read_bytes()
    draft.unlink()
    monkeypatch.setenv("WANDB_ENTITY", "someone")
    assert wandb("report", folder, "--project", "mine", "--dry-run")[0] == 0
    assert draft.read_bytes() == before


@pytest.mark.slow
def test_sync_writes_uploads_updates_and_goes_on_where_it_is_needed(folder, wandb, account):
    assert wandb("sync", folder, hints=[]) == (0, "uploaded: 2 of 2 runs")
    ids, told = sorted(account.runs), _told(account)
    assert ids == sorted(run.id for run in runs_of(Results.load(folder)))
    assert not any("replay_regret" in account.summaries[run] for run in ids)
    again = "uploaded: 0 of 2 runs; the others were there already"
    assert wandb("sync", folder) == (0, again)

    write_replay(folder)
    assert wandb("sync", folder) == (0, "uploaded: 2 of 2 runs")
    assert sorted(account.runs) == ids
    assert _told(account) == told  # at the same steps: W&B keeps one row of each
    for run in runs_of(Results.load(folder)):
        assert account.summaries[run.id]["replay_regret"] == run.summary["replay_regret"]
        uploaded = account.artifacts[f"{run.name}-{run.id}"]
        assert uploaded["replay.jsonl"] == (folder / "replay.jsonl").read_bytes()
    assert wandb("sync", folder) == (0, again)

    assert wandb("sync", folder, *ENTITY, "--project", "mine") == (0, "uploaded: 2 of 2 runs")
    assert {run["project"] for run in account.runs.values()} == {"mine"}
    there = copy.deepcopy([account.runs, account.history, account.artifacts])
    account.operations.clear()
    assert wandb("sync", folder, *ENTITY, "--project", "mine") == (0, again)
    assert UPLOAD not in account.operations
    assert [account.runs, account.history, account.artifacts] == there


def _told(account):
    """The history of each run by step, without when and where it was written."""
    return {
        (run, step): {k: v for k, v in row.items() if k[0] != "_" and k != "evaluations"}
        for run, rows in account.history.items()
        for step, row in rows.items()
    }


@pytest.mark.slow
def test_a_report_is_created_once_and_updated_from_then_on(folder, wandb, account):
    command = f"hpobench wandb sync {folder} --entity someone --project hpobench"
    hint = f"it draws uploaded runs, and 2 are not: {command}"
    code, said = wandb("report", folder, *ENTITY, hints=[hint])
    assert code == 0
    assert said.startswith(f"report: {account.url}/someone/hpobench/reports/")
    kept = folder / "wandb" / "report.json"
    [(key, [first])] = account.reports.items()
    assert (read_json(kept)["id"], f"report: {read_json(kept)['address']}") == (key, said)
    run_sets = [s for b in json.loads(first["spec"])["blocks"] for s in _run_sets(b)]
    wandb("report", folder, *ENTITY, "--dry-run")
    draft = read_json(folder / "wandb" / "report-draft.json")
    assert _shown(json.loads(first["spec"])) == _shown(draft["spec"])
    project = {"name": "hpobench", "entityName": "someone", "id": "17"}
    assert [run_set["project"] for run_set in run_sets] == [project] * 2

    words, first["description"] = first["description"], "edited by hand"
    write_json(folder / "references.json", {"digits": None})
    assert wandb("report", folder, *ENTITY) == (0, said)  # it is known by its id
    kept.unlink()
    assert wandb("report", folder, *ENTITY) == (0, said)  # and by its description
    [(_, [_, *updates])] = account.reports.items()
    assert [update["id"] for update in updates] == [key, key]
    assert [update["description"] for update in updates] == [words, words]
    assert "no reference" in updates[0]["spec"]
    assert "no reference" not in first["spec"]

    write_json(folder / "study.json", read_json(folder / "study.json") | {"created": "later"})
    kept.unlink()
    wandb("report", folder, *ENTITY)
    assert len(account.reports) == 2  # another study has its own
    content = [p.read_bytes() for p in folder.rglob("*") if p.is_file()]
    assert all(KEY.encode() not in each for each in content)


def _shown(spec):
    """Texts in order, and of panels what they draw."""
    return [
        [panel["config"] for panel in b["metadata"]["panelBankSectionConfig"]["panels"]]
        if b["type"] == "panel-grid"
        else (b["type"], b.get("content", b["children"]))
        for b in spec["blocks"]
    ]


def _run_sets(block):
    return block.get("metadata", {}).get("runSets", [])


@pytest.mark.slow
def test_without_a_key_it_is_said_in_one_line(folder, wandb):
    """Of `sync` it is `test_track` that shows it: to track online is the same upload."""
    code, said = wandb("report", folder, *ENTITY)
    assert code == 2
    assert "No API key" in said
    assert "`wandb login`" in said
    assert "hpobench wandb sync" in said


@pytest.mark.slow
def test_without_a_server_there_is_no_report(folder, wandb, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB__GRAPHQL_RETRY_MAX", "1")
    code, said = wandb("report", folder, *ENTITY)
    assert code == 2
    assert "connection refused" in said
    assert "check the network" in said
    assert not (folder / "wandb" / "report.json").exists()


@pytest.mark.slow
def test_a_project_that_is_not_there_is_said(folder, wandb, account):
    code, said = wandb("report", folder, *ENTITY, "--project", "nowhere")
    assert code == 2
    assert "nowhere" in said
    assert f"hpobench wandb sync {folder} --entity someone --project nowhere" in said
    assert account.reports == {}


@pytest.mark.parametrize(
    "command", [["sync"], ["report", *ENTITY], ["report", *ENTITY, "--dry-run"]]
)
def test_what_has_no_ended_cell_or_is_no_run_is_said(tmp_path, wandb, command):
    name, *options = command
    begun = write_study(tmp_path / "run")
    code, said = wandb(name, begun, *options)
    assert code == 2
    assert "no cell has ended" in said
    assert not (begun / "wandb").exists()
    code, said = wandb(name, tmp_path / "nowhere", *options)
    assert code == 2
    assert "is not a run" in said


def test_an_entity_is_asked_for(folder, wandb):
    code, said = wandb("report", folder, "--dry-run")
    assert code == 2
    assert "--entity" in said
