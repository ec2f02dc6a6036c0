"""Saving a study's W&B Report, or a draft of it, by a process of W&B's own."""

from __future__ import annotations

from pathlib import Path

from hpobench.errors import TrackingError
from hpobench.results.json_files import Record, make_folder, read_json, write_json
from hpobench.results.run import Results
from hpobench.tracking.wandb import report_writer
from hpobench.tracking.wandb.process import answer, offline, online
from hpobench.tracking.wandb.report import marker, report_of
from hpobench.tracking.wandb.track import ENDED

SAVED, DRAFT = "report.json", "report-draft.json"


def save_report(results: Results, entity: str, project: str) -> str:
    """Create the report of a study in a project, or update it; returns its address.

    Which one that is, is kept in ``wandb/report.json``; without that file it is known by its
    description. TrackingError, in one line, without a key, a network, or a cell that has ended.
    """
    kept = results.path / "wandb" / SAVED
    last = read_json(kept) if kept.exists() else {}
    saved = answer(
        report_writer.__file__,
        _request(results, entity, project) | {"save": True, "last": last},
        online(),
        f"W&B did not take the report (%s): run `wandb login` or check the network; its runs have"
        f" to be there first, by `hpobench wandb sync {results.path} --entity {entity}"
        f" --project {project}`",
        results.path,
    )
    make_folder(kept.parent)
    write_json(kept, saved)
    return str(saved["address"])


def draft_report(results: Results, entity: str, project: str) -> Path:
    """Write what the report would be to ``wandb/report-draft.json``, without key or network."""
    request = _request(results, entity, project) | {"save": False}
    problem = "W&B could not build the report (%s)"
    draft = answer(report_writer.__file__, request, offline(), problem, results.path)
    path = make_folder(results.path / "wandb") / DRAFT
    write_json(path, draft)
    return path


def _request(results: Results, entity: str, project: str) -> Record:
    if not results.cells["status"].isin(ENDED).any():
        raise TrackingError(
            f"{results.path}: no cell has ended, so there is nothing to report;"
            f" hpobench resume {results.path}"
        )
    return {"report": report_of(results, entity, project), "marker": marker(results)}
