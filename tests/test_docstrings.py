"""All that a face exports says what it is, and names each of its parameters."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from searchers.online.levels import Level
from tests.test_faces import FACES


def exported() -> Iterator[tuple[str, Callable[..., Any]]]:
    for face in FACES:
        module = importlib.import_module(face)
        for name in module.__all__:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                yield f"{face}.{name}", value


EXPORTED = dict(exported())
PROTOCOLS = [Level, *(v for v in EXPORTED.values() if getattr(v, "_is_protocol", False))]


def parameters(value: Callable[..., Any]) -> list[str]:
    """What a call is given; of a protocol nothing, as nobody makes one."""
    if getattr(value, "_is_protocol", False):
        return []
    if dataclasses.is_dataclass(value):
        return [field.name for field in dataclasses.fields(value) if field.init]
    if inspect.isclass(value) and issubclass(value, BaseException):
        return []
    return [
        name
        for name, parameter in inspect.signature(value).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


@pytest.mark.parametrize("name", EXPORTED)
def test_it_says_what_it_is(name: str) -> None:
    value = EXPORTED[name]
    written = (vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__) or ""
    generated = written.startswith(f"{value.__name__}(")  # by dataclass, by NamedTuple
    assert written.strip(), f"{name} has no docstring"
    assert not generated, f"{name} has no docstring of its own"


@pytest.mark.parametrize("name", EXPORTED)
def test_it_names_each_of_its_parameters(name: str) -> None:
    words = set(re.findall(r"\w+", inspect.getdoc(EXPORTED[name]) or ""))
    assert [each for each in parameters(EXPORTED[name]) if each not in words] == []


@pytest.mark.parametrize("name", EXPORTED)
def test_its_public_methods_say_what_they_do(name: str) -> None:
    """Those of a class; one that a protocol or a base has described is described."""
    if not inspect.isclass(EXPORTED[name]):
        return
    for method, value in vars(EXPORTED[name]).items():
        if method.startswith("_") or not (inspect.isfunction(value) or isinstance(value, property)):
            continue
        described = value.__doc__ or any(
            getattr(protocol, method).__doc__
            for protocol in PROTOCOLS
            if protocol is not EXPORTED[name] and hasattr(protocol, method)
        )
        assert described, f"{name}.{method} has no docstring"
