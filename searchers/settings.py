"""Checks of the settings of searchers, engines and outer optimizers: one line where one fails."""

from __future__ import annotations

import math
from typing import Any

from searchers.errors import SearcherError


def whole(name: str, value: Any, least: int) -> None:
    """Refuse all but a whole number, ``least`` or more."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise SearcherError(f"{name} is a whole number, {least} or more, not {value!r}")


def number(name: str, value: Any, above: float, most: float = math.inf) -> None:
    """Refuse all but a finite number above ``above``, at most ``most``."""
    if not isinstance(value, (int, float)) or not (above < value <= most and math.isfinite(value)):
        limit = "" if most == math.inf else f", at most {most:g}"
        raise SearcherError(f"{name} is a number above {above:g}{limit}, not {value!r}")


def instance(name: str, value: Any, protocol: type, example: str) -> None:
    """Refuse all but an object of that protocol; ``example`` is one, for the message."""
    if isinstance(value, type) or not isinstance(value, protocol):
        raise SearcherError(f"{name} is {example}, for example, not {value!r}")
