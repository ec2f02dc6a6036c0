"""Writes W&B's offline files: ``python writer.py FOLDER``, with a run a line in JSON.

`hpobench.tracking.wandb.files` starts it as a process of its own. It imports nothing of the
project.
"""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

FINGERPRINT = "fingerprint"
"""Beside a run's file once that is whole: the digest of what was written, and where that was."""

ARTIFACT_TYPE = "cell"
LONGEST_NAME = 128


def write_run(folder: Path, record: dict[str, Any]) -> None:
    """Write one run (the fields of `files.WandbRun`); its fingerprint comes last."""
    import wandb

    names = ("id", "project", "group", "name", "job_type", "tags", "config")
    run = wandb.init(
        **{name: record[name] for name in names},
        dir=folder.parent,
        mode="offline",
        settings=wandb.Settings(
            console="off",
            silent=True,
            symlink=False,
            disable_git=True,
            x_disable_meta=True,
            x_disable_stats=True,
            x_save_requirements=False,
        ),
    )
    place = Path(run.dir).parent
    if place.parent != folder:  # W&B's own way out is a temporary folder
        raise OSError(f"{folder} cannot be written to")
    os.environ["WANDB_DATA_DIR"] = str(place)  # where the table's artifact waits for its upload
    define_metrics(run)
    for row in record["history"]:
        run.log(row)
    run.log({"evaluations": wandb.Table(**record["table"], allow_mixed_types=True)})
    run.log_artifact(artifact(folder.parent, record))
    run.summary.update(record["summary"])
    run.finish(exit_code=int(record["failed"]))
    (place / FINGERPRINT).write_text(f"{record['fingerprint']}\n{place}")
    for leftover in ("logs", "tmp"):  # they name folders of this machine
        shutil.rmtree(place / leftover, ignore_errors=True)


def artifact(root: Path, record: dict[str, Any]) -> Any:
    """The files of the run's folder ``root`` that the cell's numbers follow from, not copied."""
    import wandb

    name = re.sub(r"[^\w.-]", "-", record["name"], flags=re.ASCII)
    found = wandb.Artifact(
        f"{name[: LONGEST_NAME - len(record['id']) - 1]}-{record['id']}",
        ARTIFACT_TYPE,
        description=f"what the numbers of {record['name']} follow from",
        metadata={key: record["config"][key] for key in ("task", "searcher", "seed")},
    )
    for file in record["files"]:
        found.add_file(str(root / file), file, policy="immutable", skip_cache=True)
    return found


def define_metrics(run: Any) -> None:
    """Two clocks. A run's summary has the last value of a curve, as its final regret is the last.

    The smallest regret would be a choice by the test set.
    """
    run.define_metric("wallclock", hidden=True)
    curves = ("regret", "normalised_regret", "validation_loss", "test_loss", "test_accuracy")
    for name in (*curves, "steps", "incumbent/*", "incumbent_evaluation"):
        run.define_metric(name, step_metric="wallclock")
    for clock, names in (
        ("evaluation/wallclock", ("evaluation/*", "hyperparameters/*")),
        ("over_seconds/seconds", ("over_seconds/*",)),
        ("over_steps/steps", ("over_steps/*",)),
    ):
        run.define_metric(clock, hidden=True, summary="none")
        for name in names:
            run.define_metric(name, step_metric=clock, summary="none")


def main() -> None:
    gc.disable()  # of a short life's imports it takes a sixth
    folder = Path(sys.argv[1])
    try:
        for line in sys.stdin:
            write_run(folder, json.loads(line))
    except Exception as error:
        sys.exit(f"Error: {type(error).__name__}: {error}".splitlines()[0])


if __name__ == "__main__":
    main()
