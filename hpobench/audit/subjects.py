"""What is audited: every engine, those of a searcher, or a user's own."""

from __future__ import annotations

import ast
import importlib
import os
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, TypeGuard

from hpobench.errors import HpobenchError
from searchers.catalog import SEARCHERS, find_searcher
from searchers.errors import SearcherError
from searchers.gradient.hd import HD
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.engines import Engine
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.protocols import BlackBoxSearcher
from trainables.import_path import look_into

ENGINES: tuple[Engine, ...] = (
    Stored(),
    Graphs(),
    Checkpointed(),
    Binomial(),
    Forward(),
    Auto(),
    Reversible(),
)
PUBLISHED = Forward(clamp=1.0)
"""FDS's own: every entry of a Hessian-vector product clamped to ±1, so not exact."""


class AuditError(HpobenchError):
    """Something to audit that is not there, or cannot be audited."""


@dataclass(frozen=True)
class Subjects:
    """``agreeing``: engines that have to agree. ``measured``: those whose noise and bias are
    measured on a task, beside `Auto`'s. ``online``: whether one-step hypergradients are checked."""

    agreeing: tuple[Engine, ...]
    measured: tuple[Engine, ...]
    online: bool

    @property
    def costed(self) -> tuple[Engine, ...]:
        """Those whose cost is measured."""
        return self.agreeing or self.measured


def subjects(searcher: str | None = None, engine: str | None = None) -> Subjects:
    """Those asked for; everything if nothing is.

    Raises an AuditError or a SearcherError, in one line.
    """
    if searcher is None and engine is None:
        return Subjects(ENGINES, (PUBLISHED,), online=True)
    own = None if searcher is None else engine_of(searcher)
    given = None if engine is None else find_engine(engine)
    chosen = tuple(dict.fromkeys(each for each in (own, given) if each is not None))
    exact = tuple(each for each in chosen if not clamped(each))
    return Subjects(exact, chosen, online=searcher is not None and own is None)


def clamped(engine: Engine) -> TypeGuard[Forward]:
    """Whether it is inexact by design, so that it cannot agree."""
    return isinstance(engine, Forward) and engine.clamp is not None


def labelled(engines: Sequence[Engine]) -> list[tuple[str, Engine]]:
    """Engines with the names that tables have for them: no two the same."""
    labels: list[str] = []
    for engine in engines:
        clamp = f", clamped to ±{engine.clamp:g}" if clamped(engine) else ""
        label = f"{engine.name}{clamp}"
        alike = sum(other == label or other.startswith(f"{label} (") for other in labels)
        labels.append(f"{label} ({alike + 1})" if alike else label)
    return list(zip(labels, engines, strict=True))


def engine_of(searcher: str) -> Engine | None:
    """The engine of a searcher of the catalogue; None for HD, which differentiates each step."""
    found = find_searcher(searcher)
    if isinstance(found, HD):
        return None
    own = getattr(found, "engine", None)
    if isinstance(own, Engine):
        return own
    others = [n for n, other in SEARCHERS.items() if not isinstance(other, BlackBoxSearcher)]
    raise AuditError(
        f"{searcher} is a black-box searcher: it has no hypergradients to audit; "
        f"there are {', '.join(others)}"
    )


def find_engine(address: str) -> Engine:
    """The engine at ``module:attribute`` or ``file.py:attribute``.

    The attribute is an engine, a class of engines, or a call of one with literal arguments:
    ``searchers.hypergradients:Checkpointed(segment=4)``.
    """
    place, colon, expression = address.partition(":")
    if not colon or not place or not expression:
        raise AuditError(f"{address!r} is no engine: give MODULE:ATTRIBUTE or FILE.py:ATTRIBUTE")
    module = _module(place)
    try:
        found = _value(module, expression)
    except SearcherError as error:
        raise AuditError(f"{address}: {error}") from None
    except (Exception, SystemExit) as error:
        raise AuditError(f"{address}: {_line(error)}") from None
    if not isinstance(found, Engine) or not callable(found.hypergradient):
        raise AuditError(
            f"{address} is no engine: it needs a `name` and a method "
            "hypergradient(problem, draw, schedule)"
        )
    try:
        pickle.dumps(found)
    except (Exception, SystemExit) as error:  # its memory is measured in another process
        raise AuditError(f"{address} cannot be pickled: {_line(error)}") from None
    return found


def _module(place: str) -> ModuleType:
    path = Path(place)
    folder = str(path.resolve().parent) if place.endswith(".py") else str(Path.cwd())
    if place.endswith(".py") and not path.is_file():
        raise AuditError(f"{place}: there is no such file")
    look_into([folder])
    name = path.stem if place.endswith(".py") else place
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # a user's file may do anything
        raise AuditError(f"{place}: {_line(error)}") from None
    there = getattr(module, "__file__", None)
    if place.endswith(".py") and (there is None or not os.path.samefile(there, path)):
        raise AuditError(f"{place}: another module is called {name} too; rename the file")
    return module


def _value(module: ModuleType, expression: str) -> Any:
    """An attribute, called if it says so or if it is a class."""
    parsed = ast.parse(expression, mode="eval").body
    if isinstance(parsed, ast.Name):
        found = getattr(module, parsed.id)
        return found() if isinstance(found, type) else found
    if isinstance(parsed, ast.Call) and isinstance(parsed.func, ast.Name):
        positional = [ast.literal_eval(argument) for argument in parsed.args]
        named = {str(word.arg): ast.literal_eval(word.value) for word in parsed.keywords}
        return getattr(module, parsed.func.id)(*positional, **named)
    raise ValueError(f"{expression} is neither a name nor a call with plain values")


def _line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
