"""Search spaces: what may be tuned, in which range, on which scale.

A task defines its space once. Gradient-based searchers read it directly (they step in each
domain's own scale); black-box searchers get it through `searchers.converters`, with vectors
flattened to scalars (`learning_rate_0`, `learning_rate_1`, …).

Two spellings of one configuration:

* *nested*, as a task reads it: ``{"learning_rate": (0.1, 0.05), "momentum": 0.9}``
* *flat*, as searchers and result files have it:
  ``{"learning_rate_0": 0.1, "learning_rate_1": 0.05, "momentum": 0.9}``
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from searchers.schedule_bases import Basis, Windows
from searchers.settings import is_number, is_whole, make_plain, plain

Value: TypeAlias = float | int | str | bool
Flat: TypeAlias = dict[str, Value]
Nested: TypeAlias = Mapping[str, Value | tuple[Value, ...]]


class SpaceError(ValueError):
    """A space or a configuration that makes no sense; the message says which name, and why."""


@dataclass(frozen=True)
class Float:
    """A real number in a range, its prior uniform on the range's scale.

    Args:
        low: the lower bound, which belongs to the range.
        high: the upper bound, which belongs to it too.
        log: whether the scale is logarithmic, not linear.
    """

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        _check_range(self.low, self.high, self.log)

    def from_unit(self, u: float) -> float:
        """The value at the fraction u of the range; clipped, so rounding never leaves it."""
        if self.log:
            span = math.log(self.high) - math.log(self.low)
            value = math.exp(math.log(self.low) + u * span)
        else:
            value = self.low + u * (self.high - self.low)
        return float(min(max(value, self.low), self.high))

    def to_unit(self, value: Value) -> float:
        """The fraction of the range below ``value``, in the domain's own scale."""
        x = float(value)
        if self.log:
            return (math.log(x) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (x - self.low) / (self.high - self.low)

    def unit_slope(self, value: float) -> float:
        """d value / d u: turns a derivative by the value into one by the fraction of the range."""
        if self.log:
            return value * (math.log(self.high) - math.log(self.low))
        return self.high - self.low

    def problem_with(self, value: Any) -> str | None:
        """Why a value is not in the domain, to be read after its name; None if it is."""
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return f"is {value!r}, not a number"
        if not self.low <= value <= self.high:
            return f"is {value!r}, outside [{self.low}, {self.high}]"
        return None


@dataclass(frozen=True)
class Int:
    """A whole number in a range, its prior uniform on the range's scale.

    Args:
        low: the lower bound, which belongs to the range.
        high: the upper bound, which belongs to it too.
        log: whether the scale is logarithmic, not linear.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        make_plain(self)
        if not (is_whole(self.low) and is_whole(self.high)):
            raise SpaceError(f"Int needs whole bounds, not {self.low!r} and {self.high!r}")
        if max(abs(self.low), abs(self.high)) >= 2**52:  # from there, floats skip halves
            raise SpaceError(f"Int bounds are below 2**52 in size, not {self.low} and {self.high}")
        _check_range(self.low, self.high, self.log)

    def from_unit(self, u: float) -> int:
        """The value at the fraction u of the range, each whole number as wide as the others."""
        low, high = self.low - 0.5, self.high + 0.5
        if self.log:
            value = math.exp(math.log(low) + u * (math.log(high) - math.log(low)))
        else:
            value = low + u * (high - low)
        return min(max(round(value), self.low), self.high)

    def to_unit(self, value: Value) -> float:
        """The fraction of the range at the middle of the value's part of it."""
        low, high, x = self.low - 0.5, self.high + 0.5, float(value)
        if self.log:
            return (math.log(x) - math.log(low)) / (math.log(high) - math.log(low))
        return (x - low) / (high - low)

    def problem_with(self, value: Any) -> str | None:
        """Why a value is not in the domain, to be read after its name; None if it is."""
        if not is_whole(value):
            return f"is {value!r}, not a whole number"
        if not self.low <= value <= self.high:
            return f"is {value!r}, outside [{self.low}, {self.high}]"
        return None


@dataclass(frozen=True)
class Categorical:
    """One of a few choices without an order.

    Args:
        choices: at least two different strings, numbers or booleans.
    """

    choices: tuple[Value, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", tuple(map(plain, self.choices)))
        if len(self.choices) < 2:
            raise SpaceError(f"Categorical needs at least two choices, not {self.choices!r}")
        if any(not isinstance(c, (str, bool, int, float)) for c in self.choices):
            raise SpaceError(
                f"Categorical choices are strings, numbers or booleans: {self.choices!r}"
            )
        if any(isinstance(c, float) and not math.isfinite(c) for c in self.choices):
            raise SpaceError(f"Categorical choices are finite: {self.choices!r}")
        # True == 1, and libraries cannot tell them apart
        if len(set(self.choices)) < len(self.choices):
            raise SpaceError(f"Categorical has a choice twice: {self.choices!r}")

    def from_unit(self, u: float) -> Value:
        """The choice at the fraction u of them."""
        return self.choices[min(int(u * len(self.choices)), len(self.choices) - 1)]

    def to_unit(self, value: Value) -> float:
        """The fraction of the choices at the middle of this one's part of them."""
        return (self.choices.index(value) + 0.5) / len(self.choices)

    def problem_with(self, value: Any) -> str | None:
        """Why a value is not in the domain, to be read after its name; None if it is."""
        known = isinstance(value, (str, int, float)) and value in self.choices
        return None if known else f"is {value!r}, not one of {self.choices!r}"


Scalar: TypeAlias = Float | Int | Categorical


@dataclass(frozen=True)
class Vector:
    """Several values of one scalar domain, for example a schedule's learning rates.

    Args:
        length: how many.
        element: the domain of each.
        basis: lays them over the steps of a training.
    """

    length: int
    element: Scalar
    basis: Basis = Windows()

    def __post_init__(self) -> None:
        make_plain(self)
        if not is_whole(self.length, 1):
            raise SpaceError(f"Vector needs a length of at least 1, not {self.length!r}")
        if not isinstance(self.element, (Float, Int, Categorical)):
            raise SpaceError(f"Vector holds Float, Int or Categorical, not {self.element!r}")


Domain: TypeAlias = Scalar | Vector


@dataclass(frozen=True)
class Space:
    """Named domains, in order.

    Args:
        domains: name → domain. A name is an identifier; a part after a dot names a group of
            weights.

    Raises:
        SpaceError: it makes no sense; the message says which name, and why.

    >>> space = Space({"learning_rate": Vector(2, Float(1e-3, 1.0, log=True)),
    ...                "momentum": Float(0.0, 0.99)})
    >>> list(space.scalars)
    ['learning_rate_0', 'learning_rate_1', 'momentum']
    >>> space.nest({"learning_rate_0": 0.1, "learning_rate_1": 0.2, "momentum": 0.9})
    {'learning_rate': (0.1, 0.2), 'momentum': 0.9}
    """

    domains: Mapping[str, Domain]

    def __post_init__(self) -> None:
        domains = dict(self.domains)
        if not domains:
            raise SpaceError("a space needs at least one domain")
        for name, domain in domains.items():
            if not isinstance(name, str) or not all(map(str.isidentifier, name.split("."))):
                raise SpaceError(f"a name in a space is an identifier, not {name!r}")
            if not isinstance(domain, (Float, Int, Categorical, Vector)):
                raise SpaceError(
                    f"{name}: expected Float, Int, Categorical or Vector, not {domain!r}"
                )
        object.__setattr__(self, "domains", domains)
        scalars: dict[str, Scalar] = {}
        for name, domain in domains.items():
            parts = (
                {f"{name}_{i}": domain.element for i in range(domain.length)}
                if isinstance(domain, Vector)
                else {name: domain}
            )
            clash = scalars.keys() & parts.keys()
            if clash:
                raise SpaceError(f"{min(clash)}: two domains flatten to this name")
            scalars |= parts
        object.__setattr__(self, "_scalars", scalars)

    @property
    def scalars(self) -> dict[str, Scalar]:
        """Flat name → scalar domain, in order."""
        return dict(self._scalars)  # type: ignore[attr-defined]

    def names_of(self, name: str) -> list[str]:
        """The flat names of one domain, in order."""
        domain = self.domains[name]
        if isinstance(domain, Vector):
            return [f"{name}_{i}" for i in range(domain.length)]
        return [name]

    def __len__(self) -> int:
        """How many scalars there are to choose."""
        return len(self._scalars)  # type: ignore[attr-defined]

    def flatten(self, nested: Nested) -> Flat:
        """Nested → flat.

        Raises:
            SpaceError: a name is missing or unknown, or a value is out of range.
        """
        _check_names(nested.keys(), self.domains.keys())
        flat: Flat = {}
        for name, domain in self.domains.items():
            value = nested[name]
            if isinstance(domain, Vector):
                several = value.tolist() if isinstance(value, (np.ndarray, Tensor)) else value
                if not isinstance(several, (tuple, list)) or len(several) != domain.length:
                    given = " ".join(repr(value).split())
                    raise SpaceError(f"{name} needs {domain.length} values, not {given}")
                flat |= {f"{name}_{i}": v for i, v in enumerate(several)}
            else:
                flat[name] = value  # type: ignore[assignment]
        return self.check(flat)

    def check(self, flat: Mapping[str, Any]) -> Flat:
        """A flat configuration as plain Python values in the space's order.

        Raises:
            SpaceError: a name is missing or unknown, or a value is out of range.
        """
        scalars = self.scalars
        _check_names(flat.keys(), scalars.keys())
        checked: Flat = {}
        for name, domain in scalars.items():
            value = plain(flat[name])
            problem = domain.problem_with(value)
            if problem:
                raise SpaceError(" ".join(f"{name} {problem}".split()))  # arrays print in lines
            if isinstance(domain, Float):
                checked[name] = float(value)
            elif isinstance(domain, Int):
                checked[name] = int(value)
            else:  # the space's own object: libraries hand back np.str_ and the like
                checked[name] = domain.choices[domain.choices.index(value)]
        return checked

    def nest(self, flat: Mapping[str, Value]) -> dict[str, Value | tuple[Value, ...]]:
        """Flat → nested."""
        return {
            name: tuple(flat[f"{name}_{i}"] for i in range(domain.length))
            if isinstance(domain, Vector)
            else flat[name]
            for name, domain in self.domains.items()
        }

    def from_unit(self, u: np.ndarray) -> Flat:
        """A point of the unit cube, shape (len(self),), as a flat configuration."""
        return {n: d.from_unit(float(x)) for (n, d), x in zip(self.scalars.items(), u, strict=True)}

    def to_unit(self, flat: Mapping[str, Value]) -> np.ndarray:
        """A flat configuration as a point of the unit cube, shape (len(self),)."""
        return np.array([d.to_unit(flat[n]) for n, d in self.scalars.items()])

    def unit_slopes(self, flat: Mapping[str, Value]) -> np.ndarray:
        """What each value changes by with the fraction of its range, shape (len(self),).

        Of a space of `Float` alone; see `Float.unit_slope`.
        """
        slopes = []
        for name, domain in self.scalars.items():
            assert isinstance(domain, Float)
            slopes.append(domain.unit_slope(float(flat[name])))
        return np.array(slopes)

    def sample(self, rng: np.random.Generator) -> Flat:
        """A draw from the prior: uniform in every domain's own scale."""
        return self.from_unit(rng.random(len(self)))

    def describe(self) -> dict[str, str]:
        """Name → the prior in words, for tables that print what every searcher was given."""
        return {name: _words(domain) for name, domain in self.domains.items()}


def _words(domain: Domain) -> str:
    if isinstance(domain, Vector):
        of = f" {domain.basis.words}:" if domain.basis.words else " ×"
        return f"{domain.length}{of} {_words(domain.element)}"
    if isinstance(domain, Categorical):
        return "one of " + ", ".join(map(str, domain.choices))
    kind = "whole numbers, " if isinstance(domain, Int) else ""
    return f"{kind}{'log' if domain.log else 'linear'} {domain.low:g} … {domain.high:g}"


def _check_range(low: float, high: float, log: bool) -> None:
    if not (is_number(low) and is_number(high)):
        raise SpaceError(f"bounds are finite numbers, not {low!r} and {high!r}")
    if not low < high:
        raise SpaceError(f"the lower bound {low!r} is not below the upper bound {high!r}")
    if log and low <= 0:
        raise SpaceError(f"a log range starts above 0, not at {low!r}")
    if not math.isfinite(high - low) or (log and not math.log(low) < math.log(high)):
        raise SpaceError(f"the range {low!r} … {high!r} is too wide or too narrow for floats")


def _check_names(given: Any, expected: Any) -> None:
    missing = [name for name in expected if name not in given]
    unknown = [str(name) for name in given if name not in expected]
    if missing:
        raise SpaceError(f"missing: {', '.join(missing)}")
    if unknown:
        raise SpaceError(f"unknown: {', '.join(unknown)}; this space has {', '.join(expected)}")
