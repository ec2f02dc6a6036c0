"""What the README and the guide to hypergradients show is what they say: it passes the checks."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hpobench.audit.agreement import agreement
from hpobench.audit.subjects import find_engine, labelled
from hpobench.audit.table import failure_lines
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Graphs, Stored
from searchers.hypergradients.schedules import Schedule, schedule
from searchers.hypergradients.training import start, train
from searchers.protocols import Brief
from searchers.space import Float, Space
from searchers.testing.black_box import check_black_box
from searchers.update_rules import SGD
from trainables import Examples, NetworkProblem
from trainables.testing import check_task

README = Path(__file__).parent.parent / "README.md"


GUIDE = README.parent / "docs" / "hypergradients.md"


def blocks(page: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)


@pytest.fixture(scope="module")
def guide() -> dict[str, Any]:
    """What the guide's examples, run one after the other, leave behind."""
    together: dict[str, Any] = {"__name__": "guide"}
    for block in blocks(GUIDE):
        exec(compile(block, str(GUIDE), "exec", dont_inherit=True), together)
    return together


@pytest.mark.slow
def test_the_guides_own_parts_have_the_derivatives_of_finite_differences(guide) -> None:
    """Its loss (by the penalty), its update rule and its basis, in float64, by three engines."""

    def doubled(problem: NetworkProblem, **settings: Any) -> NetworkProblem:
        examples = (problem.train, problem.validation_examples)
        data = [Examples(each.inputs.double(), each.labels) for each in examples]
        return NetworkProblem(
            lambda: problem.make_model().double(),
            *data,
            batch_size=32,
            seed=0,
            device=problem.device,
            **settings,
        )

    problem = doubled(guide["problem"], objective=guide["ConfidencePenalty"]())
    space = Space(
        {"learning_rate": guide["rates"], "penalty": Float(0.0, 1.0)},
    )
    rule, steps = guide["Normalised"](), 12
    flat = {"learning_rate_0": 0.2, "learning_rate_1": 0.05, "penalty": 0.3}
    brief = Brief(space, (flat,), flat, (1,), True, 0, rule=rule)
    names = list(flat)

    def along(at: dict[str, float]) -> Schedule:
        whole = schedule(brief, problem, at, 1)
        return replace(
            whole,
            values={name: values[:steps] for name, values in whole.values.items()},
            jacobian={name: by[:steps] for name, by in whole.jacobian.items()},
        )

    def loss(name: str, shift: float) -> float:
        shifted = along({**flat, name: flat[name] + shift})
        draw = problem.draw(0)
        weights = train(problem, draw, shifted, start(draw, rule), range(steps)).weights
        return float(problem.validation_loss(*weights))

    h = 1e-6
    differences = [(loss(name, h) - loss(name, -h)) / (2 * h) for name in names]
    for engine in (Stored(), Graphs(), Forward()):
        found = engine.hypergradient(problem, problem.draw(0), along(flat)).by_coefficient.values()
        assert found.tolist() == pytest.approx(differences, rel=1e-4, abs=1e-7), engine.name


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Saves the block, of the README or the guide, with a text in it as a module; imports it."""

    def load(text: str) -> ModuleType:
        (block,) = [block for page in (README, GUIDE) for block in blocks(page) if text in block]
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


@pytest.mark.slow
def test_the_engine_of_ones_own_passes_the_audit(module, tmp_path) -> None:
    module("my_engine.py")
    engine = find_engine(f"{tmp_path / 'readme_example.py'}:Frugal")
    rows = list(agreement(labelled([engine]), rules=(SGD(),)))
    assert rows
    assert not failure_lines(rows)
