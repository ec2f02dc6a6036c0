"""Ray Tune's view of a cell: a search algorithm and a stopper around the cell's control.

Everything that decides something is in `hpobench.running.control`. Tune asks for a trial whenever
it has room for one (also ahead of time, which is refused: a searcher sees every result it can
before it proposes again), and hands each result to the stopper, and then, by whether its trial is
done, to one of two methods of the search algorithm.
"""

from __future__ import annotations

import json
from typing import Any

from ray import tune
from ray.tune.search import Searcher as TuneSearcher

from hpobench.running.control import Control
from trainables.trainable import REPORT

NOT_SAVED: dict[str, Any] = {}
"""Tune pickles its parts to restore an experiment; a cell that was cut short is run again."""


class CellSearch(TuneSearcher):
    """Hands out the cell's work as trials."""

    def __init__(self, control: Control) -> None:
        super().__init__()
        self._control = control

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if self._control.over:
            return TuneSearcher.FINISHED
        return self._control.next_work(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self._take(trial_id, result)

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        if error or result is None:
            self._control.lost(trial_id)
        else:
            self._take(trial_id, result)
        self._control.done(trial_id)

    def _take(self, trial_id: str, result: dict[str, Any]) -> None:
        report = json.loads(result[REPORT])
        if isinstance(report, dict):
            self._control.report(trial_id, report)

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

    def __init__(self, control: Control) -> None:
        self._control = control

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return json.loads(result[REPORT]) == "warm" and self._control.warm(trial_id)

    def stop_all(self) -> bool:
        return self._control.over

    def __getstate__(self) -> dict[str, Any]:
        return NOT_SAVED
