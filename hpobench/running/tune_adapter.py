"""Ray Tune's view of a cell: a trial for each slot, which lives as long as the cell.

Tune places the slots, starts, watches and ends them. What they work on they are handed by the
cell's controller, `hpobench.running.exchange`: a trial of Tune's for each training would take 13
to 15 ms of a black-box searcher's clock where a gradient-based search pays 3.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch
from uuid import uuid4

from ray import cloudpickle, tune
from ray.air.execution.resources import FixedResourceManager

from hpobench.running.exchange import Exchange
from hpobench.running.faults import Fault
from hpobench.running.ray_errors import fault_of
from hpobench.running.ray_internals import RESOURCES, USAGE
from trainables.trainable import SlotContext, SlotTrainable

NOT_SAVED: dict[str, Any] = {}
"""Tune pickles its parts to restore an experiment; a cell that was cut short is run again."""


def tune_cell(
    exchange: Exchange, context: SlotContext, cpus: int, gpus: float, storage: Path
) -> None:
    """Run a cell's slots to its end, inside the placement group of the calling actor."""
    slots = slots_together(context.width, cpus, gpus)
    # Not by `tune.with_parameters`, which would keep each cell's task for this process's life:
    file = storage / "context.pkl"
    file.write_bytes(cloudpickle.dumps(context))
    # All cells of a Ray job share Tune's registry: by the name of its class, a cell would now and
    # then be given another's.
    name = f"slot-{uuid4().hex}"
    tune.register_trainable(name, tune.with_resources(SlotTrainable, {"cpu": cpus, "gpu": gpus}))
    tuner = tune.Tuner(
        name,
        param_space={
            "slot": tune.grid_search(list(range(context.width))),
            "context": str(file),
        },
        run_config=tune.RunConfig(
            name="tune",
            storage_path=str(storage),
            stop=CellStopper(exchange),
            # Nor is there anything to save, for which Tune would ask each slot at the end.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[CellCallback(exchange)],
            verbose=0,
        ),
    )
    with (
        patch(RESOURCES, partial(FixedResourceManager, slots)),  # the slots are here
        patch(USAGE, lambda callbacks: False),
    ):
        tuner.fit()


def slots_together(width: int, cpus: int, gpus: float) -> dict[str, float]:
    """What Tune hands out to a cell's slots, one after the other.

    It subtracts and rounds: of three shares of 0.3 of a GPU, the last would be missing for good.
    """
    rounding = 1e-6 if gpus else 0.0
    return {"CPU": float(width * cpus), "GPU": width * gpus + rounding}


class CellStopper(tune.Stopper):
    """Ends the slots once the cell is over."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._ended = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._exchange.over() and not self._ended:
            self._ended = True
            for process in self._exchange.processes():  # what the budget cut off need not finish
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
        return self._ended

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED


class CellCallback(tune.Callback):
    """Tells the cell why a slot's process is gone."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._exchange.lost(_why(trial))

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED


def _why(trial: Any) -> Fault:
    file = trial.pickled_error_file
    if file is None or not Path(file).exists():
        return Fault("Ray Tune gave up a trial without a reason", "scheduler stall")
    return fault_of(cloudpickle.loads(Path(file).read_bytes()))
