"""Trainings as work for a slice: what comes of them are lines in a file of JSON lines.

Baseline runs, replays and the trainings of a reference are such work. What a file holds already is
not made into work again, so whoever began it goes on with it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpobench.results.json_files import append_lines
from hpobench.results.schema import SCHEMA
from hpobench.running.interfaces import Slice
from hpobench.running.test_metrics import Measuring
from hpobench.study import Study


class Training:
    """One training that is still to be done, or several that go together.

    Args:
        what: What it is, in words, for whoever reads of its failure.
        study: Whose slots it runs on.
        file: Where its lines go.
        names: What each line says of which training it is of.
        train: Does it, in a worker on the slice, as ``train(*arguments, device, threads)``; returns
            what each line says of the outcome.
        arguments: For ``train``.
        count: How many trainings these are.
    """

    _appending = threading.Lock()  # the threads of all slices write to one file

    def __init__(
        self,
        what: str,
        study: Study,
        file: Path,
        names: Mapping[str, Any],
        train: Callable[..., Sequence[Mapping[str, Any]]],
        *arguments: Any,
        count: int = 1,
    ) -> None:
        self.what, self.count = what, count
        self._measuring = Measuring(what, study)
        self._file, self._names = file, names
        self._call = (train, *arguments, study.device, study.cpus)
        self.done = False
        self.seconds = 0.0
        """How long it took, once it is done."""

    def run(self, slice_: Slice, stop: object) -> bool:
        """Train on a slice; False if its machines failed, and it is to be tried again.

        Raises Fault if that happened time and again.
        """
        began = time.monotonic()
        outcomes = self._measuring.on(slice_, *self._call)
        if outcomes is None:
            return False
        lines = [{"schema": SCHEMA, **self._names, **outcome} for outcome in outcomes]
        with self._appending:
            append_lines(self._file, lines)
        self.seconds = time.monotonic() - began
        self.done = True
        return True
