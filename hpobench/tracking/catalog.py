"""The sinks that come with the project."""

from __future__ import annotations

from hpobench.errors import StudyError
from hpobench.tracking.sink import Sink
from hpobench.tracking.wandb.track import WandbSink


def sinks_for(wandb: str) -> list[Sink]:
    """The sinks that a study's results go to.

    Args:
        wandb: Weights & Biases: "offline", "online" or "off".

    Raises:
        StudyError: For another word.
    """
    if wandb not in ("offline", "online", "off"):
        raise StudyError(f"wandb is offline, online or off, not {wandb!r}")
    return [] if wandb == "off" else [WandbSink(wandb)]
