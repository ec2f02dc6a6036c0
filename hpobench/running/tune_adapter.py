"""Ray Tune's view of a cell: a search algorithm, a stopper and a callback around its loop.

Everything that decides something is in `hpobench.running.cell_loop`. Tune asks for a trial whenever
it has room for one (also ahead of time, which is refused: a searcher sees every result it can
before it proposes again), and hands each result to the stopper, and then, by whether its trial is
done, to one of two methods of the search algorithm.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from ray import cloudpickle, tune
from ray.air.execution.resources import FixedResourceManager
from ray.tune.search import Searcher as TuneSearcher

from hpobench.running.cell_loop import CellLoop
from hpobench.running.faults import Fault
from hpobench.running.ray_errors import fault_of
from hpobench.running.ray_internals import RESOURCES, USAGE
from trainables.trainable import REPORT, SlotContext, SlotTrainable

NOT_SAVED: dict[str, Any] = {}
"""Tune pickles its parts to restore an experiment; a cell that was cut short is run again."""


def tune_cell(loop: CellLoop, context: SlotContext, cpus: int, gpus: float, storage: Path) -> None:
    """Run a cell's trials to its end, inside the placement group of the calling actor."""
    slots = {"CPU": float(context.width * cpus), "GPU": context.width * gpus}
    trainable = tune.with_parameters(SlotTrainable, context=context)
    # All cells of a Ray job share Tune's registry: by the name of its class, a cell would now and
    # then be given another's.
    name = f"slot-{uuid4().hex}"
    tune.register_trainable(name, tune.with_resources(trainable, {"cpu": cpus, "gpu": gpus}))
    tuner = tune.Tuner(
        name,
        tune_config=tune.TuneConfig(search_alg=CellSearch(loop), num_samples=-1, reuse_actors=True),
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage),
            stop=CellStopper(loop),
            callbacks=[CellCallback(loop)],
            verbose=0,
        ),
    )
    with (
        patch(RESOURCES, partial(FixedResourceManager, slots)),  # the slots are here
        patch(USAGE, lambda callbacks: False),
    ):
        tuner.fit()


class CellSearch(TuneSearcher):
    """Hands out the cell's work as trials."""

    def __init__(self, loop: CellLoop) -> None:
        super().__init__()
        self._loop = loop

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._loop.over:
            return TuneSearcher.FINISHED
        return self._loop.next_work(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._take(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error or result is None:
            return  # the callback is told why
        self._take(trial_id, result)
        self._loop.done(trial_id)

    def _take(self, trial_id: str, result: dict[str, Any]) -> None:
        report = json.loads(result[REPORT])
        if "warm" not in report and "end" not in report:
            self._loop.report(trial_id, report)

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED

    def save(self, checkpoint_path: str) -> None:
        """Nothing to save."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing to restore."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing to save."""


class CellStopper(tune.Stopper):
    """Ends warm-ups once every slot is warm, and the experiment once the cell is over."""

    def __init__(self, loop: CellLoop) -> None:
        self._loop = loop

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        report = json.loads(result[REPORT])
        return "warm" in report and self._loop.warm(trial_id, report["slot"])

    def stop_all(self) -> bool:
        return self._loop.over

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED


class CellCallback(tune.Callback):
    """Learns why a trial's process is gone, which Tune does not tell the search algorithm."""

    def __init__(self, loop: CellLoop) -> None:
        self._loop = loop

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._loop.lost(trial.trial_id, _why(trial))

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED


def _why(trial: Any) -> Fault:
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return Fault("Ray Tune gave up a trial without a reason", "scheduler stall")
    return fault_of(cloudpickle.loads(Path(file).read_bytes()))
