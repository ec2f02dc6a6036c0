"""What the pipeline asks of a place where results are tracked."""

from __future__ import annotations

from typing import Protocol

from hpobench.results.run import Results


class Sink(Protocol):
    """A place where results are tracked beside their folder, such as Weights & Biases."""

    def track(self, results: Results) -> None:
        """Take in the results of a run, once its tables and its page are written.

        It is called again when the run is resumed, so a sink tells what it holds already from what
        is new.

        Args:
            results: The run as its folder holds it. ``results.cells["status"]`` says which cells
                have ended: a sink leaves the others alone.

        Raises:
            TrackingError: In one line, if the sink cannot be written to or reached; the results
                are whole in their folder.
        """
