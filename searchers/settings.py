"""Checks of what users set: plain, finite numbers, and one line where something else is given."""

from __future__ import annotations

import dataclasses
import math
import numbers
from typing import Any

from searchers.errors import SearcherError


def plain(value: Any) -> Any:
    """A number of NumPy's, torch's or another library as Python's own; all else as it is.

    So it is written to files, compared and printed like any other, and shares no memory with what
    its giver goes on to change. Tuples and lists are made plain part by part.
    """
    if isinstance(value, (tuple, list)):
        return type(value)(map(plain, value)) if type(value) in (tuple, list) else value
    if hasattr(value, "item") and not isinstance(value, (bool, int)):  # arrays, tensors, scalars
        try:
            value = value.item()
        except (ValueError, RuntimeError, TypeError):  # it holds several
            return value
    if isinstance(value, (bool, str)):
        return value
    if isinstance(value, numbers.Integral):
        return int(value)
    return float(value) if isinstance(value, numbers.Real) else value


def make_plain(settings: Any) -> None:
    """Make a frozen dataclass's own numbers plain ones, in its ``__post_init__``."""
    for field in dataclasses.fields(settings):
        object.__setattr__(settings, field.name, plain(getattr(settings, field.name)))


def not_finite(settings: Any) -> str | None:
    """The first setting of a dataclass, or of its parts, that is not finite; None if all are."""
    for field in dataclasses.fields(settings) if dataclasses.is_dataclass(settings) else ():
        value = plain(getattr(settings, field.name))
        if not finite(value):
            return field.name
        if (inside := not_finite(value)) is not None:
            return f"{field.name}.{inside}"
    return None


def finite(value: Any) -> bool:
    """Whether there is neither an infinity nor a NaN in a plain value."""
    if isinstance(value, (tuple, list)):
        return all(map(finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def is_number(value: Any) -> bool:
    """Whether a plain value is a finite number: no boolean."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and finite(value)


def is_whole(value: Any, least: float = -math.inf) -> bool:
    """Whether a plain value is a whole number, ``least`` or more: no boolean."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def whole(name: str, value: Any, least: int) -> None:
    """Refuse all but a whole number, ``least`` or more."""
    if not is_whole(value, least):
        raise SearcherError(f"{name} is a whole number, {least} or more, not {value!r}")


def number(name: str, value: Any, above: float, most: float = math.inf) -> None:
    """Refuse all but a finite number above ``above``, at most ``most``."""
    if not is_number(value) or not above < value <= most:
        limit = "" if most == math.inf else f", at most {most:g}"
        raise SearcherError(f"{name} is a number above {above:g}{limit}, not {value!r}")


def pair(name: str, value: Any) -> None:
    """Refuse all but two finite numbers."""
    if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(map(is_number, value)):
        raise SearcherError(f"{name} are two numbers, not {value!r}")


def instance(name: str, value: Any, protocol: type, example: str) -> None:
    """Refuse all but an object of that protocol; ``example`` is one, for the message."""
    if isinstance(value, type) or not isinstance(value, protocol):
        raise SearcherError(f"{name} is {example}, for example, not {value!r}")
