"""What the W&B Report of a study says and shows, as plain data: the page's words, W&B's panels.

The verdict, what to keep in mind, the replay and what every searcher was given are said as on the
page over the same clock; the figures are W&B's own, drawn from the runs of a project.
"""

from __future__ import annotations

from hpobench.report.clocks import CLOCKS
from hpobench.report.failures import Failure, failures_in
from hpobench.report.page.document import content
from hpobench.report.tables.ledger import MEANING
from hpobench.report.tables.summary import reached
from hpobench.results.json_files import Record
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.results.targets import TARGET_WORDS
from hpobench.text import plus_minus
from hpobench.tracking.wandb.blocks import bullets, heading, made, paragraphs, table
from hpobench.tracking.wandb.content import POINTS_A_DECADE
from hpobench.tracking.wandb.panels import opening_grid, panel_grid, upper
from hpobench.tracking.wandb.track import study_id

LONGEST_TITLE = 128
CLOCK: Clock = "seconds"


def report_of(results: Results, entity: str, project: str) -> Record:
    """The report of a run, whose runs are in a project of W&B's; see `blocks`."""
    said = content(results, CLOCK)
    return made(
        "Report",
        entity=entity,
        project=project,
        title=f"hpobench {said['name']}"[:LONGEST_TITLE],
        description=f"{said['size']}, {said['budget']} for each cell. {marker(results)}",
        width="fluid",
        blocks=[
            heading("Verdict"),
            *paragraphs(map(str, said["verdict"])),
            *[opening_grid(results, task) for task in results.tasks],
            *paragraphs(said["further"]),
            *(_listed("To keep in mind:", [*map(str, said["notes"])]) if said["notes"] else []),
            *paragraphs(map(str, failures_in(said["replays"]))),
            *[block for task in said["tasks"] for block in _task(results, task, said)],
            *_method(said),
        ],
    )


def marker(results: Results) -> str:
    """What a report's description says of its study, and of no other's."""
    return f"Study {study_id(results.study)}."


def _task(results: Results, task: Record, said: Record) -> list[Record]:
    told = said["replays"]
    replays = [] if isinstance(told, Failure) else [r for r in told if r["name"] == task["name"]]
    return [
        heading(task["name"]),
        *paragraphs([task["measured_from"]]),
        *(_times(results, task["name"]) if task["has_reference"] else []),
        panel_grid(results, task["name"]),
        *[block for replay in replays for block in _replay(replay, said["replay_draws"])],
    ]


def _times(results: Results, task: str) -> list[Record]:
    """When the targets were reached, and by how many, as a table."""
    summary = results.summary(CLOCK)
    times = [f"{CLOCKS[CLOCK].unit} to {words}" for words in TARGET_WORDS.values()]
    rows = [
        [
            row["searcher"],
            plus_minus(row["final_regret"], row["final_regret_se"]),
            *(reached(row, target, CLOCK) for target in TARGET_WORDS),
            f"{row['seeds_complete']} of {row['seeds_planned']}",
        ]
        for row in summary[summary["task"] == task].to_dict("records")
    ]
    note = (
        "A time is the one by which at least half of the seeds that ended had come to the target"
        " to stay, with how many did in brackets; – where fewer did, and a failed cell did not."
    )
    heads = ["searcher", "final regret ± s.e.", *times, "complete cells"]
    return [table(heads, rows), *paragraphs([note])]


def _replay(replay: Record, draws: str) -> list[Record]:
    """The page's tables of what was trained again."""
    on = f" on {replay['trained_on']} data" if replay["trained_on"] else ""
    heads = ["seeds trained again", "replay regret ± s.e.", "search regret", "replayed test loss"]
    blocks = [
        heading(f"Replay of {replay['name']}: trained again, on fresh draws", 2),
        *paragraphs(
            [
                f"Incumbents at {replay['when']}, trained from scratch{on} with their"
                " hyperparameters, or the schedule that was learned, frozen: on draws that nobody"
                f" has chosen. Means over seeds of each seed's mean over {draws}. Lowest first."
            ]
        ),
        table(["searcher", *heads], [[row["searcher"], *row["values"]] for row in replay["rows"]]),
    ]
    if len(replay["times"]) > 1:
        rows = [[row["searcher"], *row["values"]] for row in replay["by_time"]]
        blocks += paragraphs([f"Mean {replay['shown']} of the incumbents at each time:"])
        blocks += [table(["searcher", *replay["times"]], rows)]
    return blocks + (_sooner(replay) if replay["sooner"] else [])


def _sooner(replay: Record) -> list[Record]:
    lowest, order = replay["lowest"], ("factor", "own_seconds", "seconds", "reached")
    heads = ["as good as the last of", "times sooner", "its seconds, median"]
    heads += [f"{lowest}'s seconds, median", "seeds on which its mean came to it"]
    rows = [[row["final_of"], *(row[name] for name in order)] for row in replay["sooner"]]
    words = (
        f"How many times sooner {lowest} had hyperparameters as good as the last of each other"
        " searcher, seed by seed, as far as the draws tell. In brackets the 95 % interval, each by"
        " itself."
    )
    return [*paragraphs([words]), table(heads, rows)]


def _method(said: Record) -> list[Record]:
    given = [
        *(f"{upper(term)}: {value}" for term, value in said["given"]),
        "Equal seeds have the same data split for every searcher, and equal evaluation numbers the"
        " same initial weights.",
        *(f"{upper(words.unit)}: {words.meaning}" for words in CLOCKS.values()),
        f"Curves are drawn at {POINTS_A_DECADE} places a decade, the same for every cell; the runs"
        " also have every change. Over training steps cells end at different places: from there on"
        " a median is over those that went on. Cells that are not complete are not drawn.",
        "The test set guides no searcher: it is measured after the cell, for each incumbent.",
        "Regret is signed, never clipped: below zero is better than the reference.",
        *(f"The ledger's {part}: {meaning}" for part, meaning in MEANING.items()),
    ]
    return [
        heading("Method"),
        bullets(given),
        *[block for task in said["tasks"] for block in _given_by(task)],
        heading("Searchers", 2),
        bullets(
            f"{searcher['name']} ({searcher['kind']}): {searcher['summary']}"
            f" Its own settings: {searcher['settings']}."
            for searcher in said["searchers"]
        ),
        heading("Made with", 2),
        bullets(f"{upper(term)}: {value}" for term, value in said["made_with"]),
    ]


def _given_by(task: Record) -> list[Record]:
    reference = task["reference"]
    return [
        heading(f"What {task['name']} gives to every searcher", 2),
        bullets(
            f"{upper(term)}: {line}" for term, lines in task["given"].items() for line in lines
        ),
        heading(f"The reference of {task['name']}", 2),
        bullets(
            [
                f"Kind: {reference['kind']}",
                f"Hyperparameters: {reference['hyperparameters']}",
                f"Standard error: {reference['standard_error']}",
                *map(upper, reference["provenance"]),
                *(f"Test loss, reference ± s.e. | default: {line}" for line in reference["splits"]),
            ]
        ),
    ]


def _listed(words: str, items: list[str]) -> list[Record]:
    return [*paragraphs([words]), bullets(items)]
