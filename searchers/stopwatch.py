"""Time on a device: a clock is read only when all work that the device was given is done.

An accelerator takes work and returns at once; without waiting for it, the seconds of a training
would show up in whatever comes to ask for its results.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import MappingProxyType

import torch

NOTHING: Mapping[str, float] = MappingProxyType({})


class Stopwatch:
    """Splits the time since it was made into parts, lap by lap; they add up to the whole.

    ::

        laps = Stopwatch(problem.device)
        trained = train(...)
        laps.end("train")
        metrics = problem.validation(trained.weights)
        laps.end("validation")
        laps.seconds  # {"train": …, "validation": …}

    Args:
        device: whose work is waited for at the end of each lap.
    """

    def __init__(self, device: torch.device):
        self.seconds: dict[str, float] = {}
        self._device = device
        self._last = clock(device)

    def end(self, part: str, inside: Mapping[str, float] = NOTHING) -> None:
        """End a lap.

        Args:
            part: whose time it was.
            inside: seconds by part that were measured in this lap by another stopwatch. They stay
                with their own parts, and this part has the rest.
        """
        now = clock(self._device)
        rest = max(now - self._last - sum(inside.values()), 0.0)
        self._last = now
        for name, seconds in (*inside.items(), (part, rest)):
            self.seconds[name] = self.seconds.get(name, 0.0) + seconds


def clock(device: torch.device) -> float:
    """Seconds on the clock that all processes of a machine share, once the device is done."""
    wait_for(device)
    return time.monotonic()


def wait_for(device: torch.device) -> None:
    """Return when the device has done all work that it was given; a CPU always has."""
    if device.type == "cpu":
        return
    if device.type == "mps":  # there is only one, and it takes no index
        torch.mps.synchronize()
    else:
        getattr(torch, device.type).synchronize(device)
