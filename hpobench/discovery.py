"""Finding a study: by the name of a file in ``studies/``, or by the path of a user's own."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from pathlib import Path
from types import ModuleType

import torch

from hpobench.errors import HpobenchError, StudyError
from hpobench.study import Study
from searchers.errors import SearcherError
from searchers.space import SpaceError
from trainables.import_path import look_into, shadows
from trainables.task import TaskError
from trainables.tasks import TASKS

USER_ERRORS = (HpobenchError, SearcherError, SpaceError, TaskError)
"""Errors whose message is for the user as it stands."""


def study_names() -> list[str]:
    """The ready-made studies."""
    package = importlib.import_module("studies")
    return sorted(module.name for module in pkgutil.iter_modules(package.__path__))


def find_study(name: str) -> tuple[Study, Path | None]:
    """A study by name, or from a file, with that file's path."""
    file, _, task = name.rpartition(":")
    if file.endswith(".py"):
        raise StudyError(
            f"{name} is no study: give {file}, and --tasks {task} for one of its tasks"
        )
    if name.endswith(".py") or os.sep in name:
        return load_file(Path(name)), Path(name)
    if name not in study_names():
        known = ", ".join(study_names())
        raise StudyError(f"no study {name!r}.{_hint(name)} There are: {known}; or give a .py file")
    return _only_study(importlib.import_module(f"studies.{name}"), f"studies/{name}.py"), None


def _hint(name: str) -> str:
    if name in TASKS:
        return f" {name} is a task: hpobench run digits --tasks {name} runs that study on it."
    close = difflib.get_close_matches(name, study_names(), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def load_file(path: Path) -> Study:
    """The study in a user's Python file.

    What the file defines is sent to the cells' processes by value; what lies beside it can be
    imported, in this process and in theirs.
    """
    if path.suffix != ".py":
        raise StudyError(f"{path} is no Python file: its name does not end in .py")
    if not path.is_file():
        raise StudyError(f"{path}: there is no such file")
    place = path.resolve()
    name = f"study_{place.stem}_{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    look_into([str(place.parent)])
    before = _of_torch()
    try:
        spec.loader.exec_module(module)
    except USER_ERRORS as error:
        raise StudyError(f"{path}{_line_in(place, error)}: {error}") from None
    except SyntaxError as error:
        raise StudyError(f"{error.filename}, line {error.lineno}: {error.msg}") from None
    except Exception as error:
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        why = f"{what}{_not_imported(error, place.parent)}"
        raise StudyError(f"{path}{_line_in(place, error)}: {why}") from None
    if _of_torch() != before:
        raise StudyError(
            f"{path}: it sets torch's default type, default device or determinism, which holds in"
            " this process alone and not where trainings run: set it in build(seed, device)"
        )
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(module)
    return _only_study(module, str(path))


def _of_torch() -> tuple[object, ...]:
    """Settings of the whole process that a file may change."""
    determined = torch.are_deterministic_algorithms_enabled()
    return torch.get_default_dtype(), torch.get_default_device(), determined


def _only_study(module: ModuleType, where: str) -> Study:
    named = getattr(module, "study", None)
    if isinstance(named, Study):
        return named
    found = [value for value in vars(module).values() if isinstance(value, Study)]
    if len(found) == 1:
        return found[0]
    problem = "no Study in it" if not found else f"{len(found)} studies in it"
    raise StudyError(f"{where}: {problem}; call the one to run `study`")


def _not_imported(error: Exception, folder: Path) -> str:
    """What to do where something was looked for in a module that another one is in front of."""
    wanted = error.name if isinstance(error, ImportError) else getattr(error, "obj", None)
    name = str(getattr(wanted, "__name__", wanted)).partition(".")[0]
    if not {name, f"{name}.py"} & set(shadows(folder)):
        return ""
    return f" (the {name} beside this file is not what is imported: give it another name)"


def _line_in(path: Path, error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""
