"""A training as a piece of work: done on a slice, it leaves a line in a file of JSON lines.

What a file holds already is not made into such a piece, so whoever began it goes on with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpobench.results.json_files import append_lines
from hpobench.results.schema import SCHEMA
from hpobench.running.interfaces import Slice
from hpobench.running.test_metrics import Measuring
from hpobench.study import Study


class Training:
    """One training that is still to be done.

    ``what``: what it is, in words. ``names``: what its line says of which one it is.
    ``train(*arguments, device, threads)`` does it, in a worker on the slice; its value is what the
    line says of the outcome.
    """

    _appending = threading.Lock()  # the threads of all slices write to one file

    def __init__(
        self,
        what: str,
        study: Study,
        file: Path,
        names: Mapping[str, Any],
        train: Callable[..., Mapping[str, Any]],
        *arguments: Any,
    ) -> None:
        self._measuring = Measuring(what, study)
        self._file, self._names = file, names
        self._call = (train, *arguments, study.device, study.cpus)
        self.done = False

    def run(self, piece: Slice, stop: object) -> bool:
        """Train it on a slice; False if its machines failed, and it is to be tried again.

        Raises Fault if that happened time and again.
        """
        outcome = self._measuring.on(piece, *self._call)
        if outcome is None:
            return False
        with self._appending:
            append_lines(self._file, [{"schema": SCHEMA, **self._names, **outcome}])
        self.done = True
        return True
