"""The README's own task and own searcher are what it says: they pass the contracts."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from searchers.testing import check_black_box
from trainables.testing import check_task

README = Path(__file__).parent.parent / "README.md"


GUIDE = README.parent / "docs" / "hypergradients.md"


def test_the_guides_examples_run() -> None:
    together: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), flags=re.DOTALL):
        exec(compile(block, str(GUIDE), "exec"), together)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Saves the block of the README with a text in it as a module, and imports it."""

    def load(text: str) -> ModuleType:
        blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
        (block,) = [block for block in blocks if text in block]
        (tmp_path / "readme_example.py").write_text(block)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "readme_example", raising=False)
        return importlib.import_module("readme_example")

    return load


def test_the_task_of_ones_own(module) -> None:
    mine = module("my_study.py")
    check_task(mine.task)
    assert len(mine.study.cells()) == 6


def test_the_searcher_of_ones_own(module) -> None:
    check_black_box(module("class Halfway:").Halfway())
