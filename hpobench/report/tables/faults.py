"""What went wrong in a run: how often, by searcher and by cause, and what each cause means."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from hpobench.results.json_files import Record

if TYPE_CHECKING:
    from hpobench.results.run import Results

MEANING = {
    "worker lost": "the process of a slot died, and not by the training's doing",
    "node lost": "a machine went away",
    "pre-empted": "a machine was taken back by its provider or its scheduler",
    "out of memory": "the host or the GPU had no memory left; the third attempt in a row that ends"
    " so counts as the configuration's fault",
    "scheduler stall": "Ray or the framework did not move on for too long",
    "training stall": "a slot at work said nothing for too long; the third attempt in a row that"
    " ends so counts as the configuration's fault",
    "damaged file": "a file of the cell could not be read back",
    "disk full": "the disk took no more",
    "searcher error": "the searcher or a training of its raised an error",
    "diverged": "the loss stopped being finite, or rose above the task's ceiling",
    "user interrupt": "somebody stopped the run",
    "driver lost": "the process that ran the study was gone",
}
"""The kinds of cause, in words."""

UNKNOWN_CAUSE = "cause not recorded"

VOID, FAILED, EVALUATIONS, INTERRUPTED = EVENTS = (
    "void attempts",
    "failed cells",
    "failed evaluations",
    "interruptions",
)
EXPLAINED = {
    VOID: "A void attempt was disturbed by the machines, not by the searcher: what it measured does"
    " not count, and its cell is run again, at most twice.",
    FAILED: "A failed cell is the fault of the searcher or of a configuration, counts against the"
    " searcher, and is not run again.",
    EVALUATIONS: "A failed evaluation is a training that raised an error; its time counts, and the"
    " cell goes on.",
    INTERRUPTED: "An interrupted cell begins anew when the run is resumed.",
}


def disturbances(results: Results) -> dict[str, dict[str, Counter[str]]]:
    """By searcher and event (void attempts, …): how often, by cause; only what happened."""
    counts_of = {s: {event: Counter[str]() for event in EVENTS} for s in results.searchers}
    events = {"void": VOID, "interrupted": INTERRUPTED}
    for cell in results.cells.to_dict("records"):
        counts = counts_of[cell["searcher"]]
        for attempt in cell["attempts"]:
            if attempt.get("status") in events:
                counts[events[attempt["status"]]][_cause(attempt)] += 1
        if cell["status"] == "failed":
            counts[FAILED][_cause(cell)] += 1
    failed = results.evaluations[results.evaluations["status"] == "failed"]
    for evaluation in failed.to_dict("records"):
        counts_of[evaluation["searcher"]][EVALUATIONS][_cause(evaluation)] += 1
    occurred = {s: {e: c for e, c in counts.items() if c} for s, counts in counts_of.items()}
    return {searcher: counts for searcher, counts in occurred.items() if counts}


def fault_table(results: Results) -> Record | None:
    """What went wrong as a table for the page; None if nothing did."""
    counts_of = disturbances(results)
    if not counts_of:
        return None
    events = [event for event in EVENTS if any(event in counts for counts in counts_of.values())]
    causes = {
        cause for counts in counts_of.values() for counter in counts.values() for cause in counter
    }
    return {
        "explained": " ".join(EXPLAINED[event] for event in events),
        "columns": events,
        "rows": [
            {
                "searcher": searcher,
                "values": [
                    [f"{n} × {cause}" for cause, n in counts.get(event, Counter()).most_common()]
                    or ["none"]
                    for event in events
                ],
            }
            for searcher, counts in counts_of.items()
        ],
        "causes": {cause: words for cause, words in MEANING.items() if cause in causes},
    }


def what_happened(cell: dict[Any, Any]) -> list[str]:
    """A cell's cause and why, and before it those of the attempts that were not its last."""
    lines = []
    for attempt in cell["attempts"]:
        ended = attempt.get("status")
        is_last = attempt is cell["attempts"][-1] and _cause(attempt) == _cause(cell)
        if ended != "ok" and not is_last:
            lines.append(f"attempt {attempt['attempt']} {ended}, {_sentence(attempt)}")
    if cell["cause"] or cell["why"]:
        lines.append(_sentence(cell))
    return lines


def incomplete(results: Results, task: str) -> list[str]:
    """For each searcher with cells of a task that are not complete: how many, and their causes."""
    cells = results.cells[(results.cells["task"] == task) & (results.cells["status"] != "complete")]
    words = []
    for searcher in results.searchers:
        of_searcher = cells[cells["searcher"] == searcher]
        counts = [
            f"{len(alike)} {status}{_causes(alike.to_dict('records'))}"
            for status, alike in of_searcher.groupby("status", sort=False)
        ]
        if counts:
            words.append(f"{searcher}: {', '.join(counts)}")
    return words


def _causes(cells: list[dict[Any, Any]]) -> str:
    """In brackets, each with its count unless all have the same; nothing if none is known."""
    counts = Counter(_cause(cell) for cell in cells)
    if set(counts) == {UNKNOWN_CAUSE}:
        return ""
    if len(counts) == 1:
        return f" ({next(iter(counts))})"
    return f" ({', '.join(f'{n} {cause}' for cause, n in counts.most_common())})"


def _cause(record: dict[Any, Any]) -> str:
    cause = record.get("cause")
    return cause if isinstance(cause, str) and cause else UNKNOWN_CAUSE


def _sentence(record: dict[Any, Any]) -> str:
    """The cause, and why where it is said; an attempt may have neither."""
    why = record.get("why")
    cause = _cause(record)
    if not why:
        return cause
    return why if cause == UNKNOWN_CAUSE else f"{cause}: {why}"
