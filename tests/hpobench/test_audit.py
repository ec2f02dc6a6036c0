"""The audit of hypergradients: it passes what is right, and names what is wrong."""

from __future__ import annotations

import csv
import json
import math
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text
from typer.testing import CliRunner
from unrolled_engine import Broken, Refusing, Short, Unrolled

from hpobench.audit import agreement as agreeing
from hpobench.audit import cost as costing
from hpobench.audit import memory, online, run
from hpobench.audit.agreement import FINITE, STORED, compared, expect, fourth_order
from hpobench.audit.figure import audit_figure
from hpobench.audit.problems import NETS, RULES, case
from hpobench.audit.rows import Agreement, Cost
from hpobench.audit.spread import spread, summarised
from hpobench.audit.subjects import (
    ENGINES,
    PUBLISHED,
    AuditError,
    Subjects,
    find_engine,
    labelled,
    subjects,
)
from hpobench.audit.table import failure_lines, trouble_lines
from hpobench.cli import app
from hpobench.errors import HpobenchError
from searchers.catalog import SEARCHERS
from searchers.errors import SearcherError
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.update_rules import SGD
from searchers.protocols import BlackBoxSearcher
from trainables.tasks import find_task

HERE = Path(__file__).parent / "unrolled_engine.py"
CPU = torch.device("cpu")
CLAMPED = RULES[-1]


@cache
def expected(rule, net):
    at = case(rule, net)
    return at, expect(at)


def audited(engine, rules=(SGD(),), nets=NETS) -> list[Agreement]:
    return [
        row
        for rule in rules
        for net in nets
        for row in compared(engine.name, engine, *expected(rule, net))
    ]


@pytest.fixture(autouse=True)
def one_thread():
    with run.one_thread():
        yield


# Agreement: the audit's own checks, engine by engine.


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_every_engine_agrees(rule) -> None:
    """On one net; SGD on all."""
    nets = list(NETS) if rule == SGD() else [list(NETS)[RULES.index(rule) % len(NETS)]]
    for label, engine in labelled(ENGINES):
        rows = audited(engine, (rule,), nets)
        assert [row.words for row in rows if not row.passed] == []
        reversible = rule.name in ("sgd", "maclaurin", "clamped")
        refused = label == "reversible" and not reversible
        assert all(row.refused == refused for row in rows)
        if refused:
            continue
        quantities = {row.quantity for row in rows if row.against == FINITE}
        assert quantities == {*rule.defaults, "label_smoothing", "learning_rate.bias"}
        for row in rows:  # nothing is compared that is nothing
            assert row.size > (1e-4 if row.against == FINITE else 0) or row.against == STORED


def test_a_third_is_clamped() -> None:
    at = case(CLAMPED, "plain")
    draw = at.problem.draw(0)
    begin = draw.initial()
    theta = {"label_smoothing": torch.tensor(0.1, dtype=torch.float64)}
    leaf = begin.vector.requires_grad_()
    loss = at.problem.training_loss(leaf, {}, draw.batch(0), theta)
    share = float((torch.autograd.grad(loss, leaf)[0].abs() > 0.05).double().mean())
    assert 0.1 < share < 0.6


def test_finite_differences_are_of_fourth_order() -> None:
    errors = [abs(fourth_order(lambda x: math.exp(3 * x), h) - 3) for h in (0.1, 0.05)]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.1)


def test_a_users_right_engine_passes() -> None:
    rows = audited(Unrolled(), (SGD(), CLAMPED))
    assert [row.words for row in rows if not row.passed] == []


MISTAKES = {
    "momentum's sign": ("sgd", {"momentum"}),
    "no last step": ("sgd", {"learning_rate", "learning_rate.bias", "momentum", "weight_decay"}),
    "nan": ("sgd", {"learning_rate"}),
    "another training": ("sgd", {"trained weights"}),
    "clamp order": ("clamped", {"learning_rate", "momentum", "weight_decay"}),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_engine_fails_where_it_is_wrong(mistake: str) -> None:
    rule, wrong = MISTAKES[mistake]
    rows = audited(Unrolled(mistake), (SGD(), CLAMPED) if mistake == "clamp order" else (SGD(),))
    failed = [row for row in rows if not row.passed]
    assert {row.rule for row in failed} == {rule}
    found = {row.quantity for row in failed}
    assert wrong <= found
    if len(wrong) == 1:
        assert found == wrong
    if mistake != "another training":  # both by the stored engine and by finite differences
        assert {row.against for row in failed} == {STORED, FINITE}
    lines = failure_lines(rows)
    assert len(lines) == 1
    assert f"failed: unrolled, rule {rule}, " in lines[0]


@pytest.mark.parametrize(
    ("engine", "said"),
    [
        (Broken(), "rule sgd, plain net: ZeroDivisionError: one too few"),
        (Short(), "shape (10,)"),
        (Refusing(), "refusing refuses everything: never on a Monday"),
    ],
)
def test_an_engine_without_an_answer_fails(engine, said: str) -> None:
    lines = failure_lines(audited(engine, nets=["plain"]))
    assert len(lines) == 1
    assert said in lines[0]
    assert "\n" not in lines[0]


def test_one_step_hypergradients_agree() -> None:
    rows = list(online.online())
    assert [row.words for row in rows if not row.passed] == []
    assert {row.rule for row in rows if row.engine == "hd"} == {rule.name for rule in RULES}
    learned = {(row.rule, row.quantity) for row in rows if row.engine == "tower"}
    assert {("sgd", "momentum"), ("adam", "beta2"), ("rmsprop", "gamma")} <= learned
    assert min(row.size for row in rows) > 1e-4


def test_a_wrong_one_step_hypergradient_fails(monkeypatch) -> None:
    """The update's velocity, where Nesterov's step looks ahead."""
    monkeypatch.setattr(online, "direction", lambda rule, b, g, after, at, step: after.memory[0])
    rows = [online.descent(case(rule, "plain")) for rule in RULES[:2]]
    assert [row.passed for row in rows] == [True, False]


# What is audited.


def test_everything_unless_told() -> None:
    chosen = subjects()
    kinds = {type(engine) for engine in chosen.agreeing}
    assert {Stored, Graphs, Checkpointed, Forward, Auto, Reversible} <= kinds
    assert chosen.online
    assert chosen.measured == (PUBLISHED,)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_is_audited_for_what_it_uses(name: str) -> None:
    if isinstance(SEARCHERS[name], BlackBoxSearcher):
        with pytest.raises(AuditError, match=f"{name} is a black-box searcher") as caught:
            subjects(searcher=name)
        assert "\n" not in str(caught.value)
        assert "fds" in str(caught.value)
        return
    chosen = subjects(searcher=name)
    assert chosen.online == (name == "hd")
    assert len(chosen.measured) == (name != "hd")
    own = getattr(SEARCHERS[name], "engine", None)
    if own is not None:
        assert chosen.agreeing == (own,)


def test_a_clamped_engine_need_not_agree() -> None:
    chosen = subjects(engine="searchers.hypergradients.forward:Forward(clamp=1.0)")
    assert chosen == Subjects((), (PUBLISHED,), online=False)
    assert chosen.costed == (PUBLISHED,)
    assert run.passed([]).startswith("Nothing was checked")


ADDRESSES = {
    "searchers.hypergradients.reverse:Stored": Stored(),
    "searchers.hypergradients.reverse:Checkpointed(segment=4)": Checkpointed(segment=4),
    f"{HERE}:Unrolled": Unrolled(),
    f"{HERE}:Unrolled('nan')": Unrolled("nan"),
    f"{HERE}:ready": Unrolled(),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_engine_by_its_address(address: str) -> None:
    assert find_engine(address) == ADDRESSES[address]


NO_ENGINES = {
    "stored": "give MODULE:ATTRIBUTE",
    "nowhere.py:Engine": "nowhere.py: there is no such file",
    "no.such.module:Engine": "no.such.module: ModuleNotFoundError",
    "searchers.hypergradients.reverse:Stord": "AttributeError",
    "searchers.hypergradients.reverse:Checkpointed(segment=0)": "at least 1 step",
    "searchers.hypergradients.reverse:Checkpointed(size=4)": "TypeError",
    "searchers.hypergradients.reverse:Stored() or 1": "neither a name nor a call",
    "searchers.hypergradients.reverse:(": "SyntaxError",
    f"{HERE}:number": "is no engine",
    f"{HERE}:Unsendable": "cannot be pickled",
}


@pytest.mark.parametrize("address", NO_ENGINES)
def test_no_engine_is_one_line(address: str) -> None:
    with pytest.raises(HpobenchError) as caught:
        find_engine(address)
    assert NO_ENGINES[address] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_the_name_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(AuditError, match="another module is called json"):
        find_engine(f"{tmp_path / 'json.py'}:Engine")


def test_labels_differ() -> None:
    engines = (Stored(), Checkpointed(), Checkpointed(segment=4), PUBLISHED, Forward())
    labels = [label for label, _ in labelled(engines)]
    assert labels == [
        "stored",
        "checkpointed",
        "checkpointed (2)",
        "forward, clamped to ±1",
        "forward",
    ]


# Noise and bias.

derivatives = st.integers(2, 8).flatmap(
    lambda draws: st.lists(st.floats(-9, 9), min_size=draws, max_size=draws)
)


@given(derivatives, st.floats(-1, 1))
def test_statistics_of_a_spread(values: list[float], shift: float) -> None:
    column = np.array(values)[:, None]
    exact, other = summarised({"exact": column, "other": column + shift}, "exact", ["a"], "t", 1)
    assert exact.mean == pytest.approx(np.mean(values), abs=1e-12)
    assert exact.deviation == pytest.approx(np.std(values, ddof=1), abs=1e-12)
    assert exact.signs == max(np.mean(column > 0), np.mean(column < 0))
    assert math.isnan(exact.bias)
    assert other.bias == pytest.approx(shift, abs=1e-12)
    assert other.bias_error == pytest.approx(0, abs=1e-12)  # paired: the draws' noise cancels
    assert other.flips == np.mean(np.sign(column + shift) != np.sign(column))
    assert exact.draws == len(values)
    assert exact.nonfinite == 0


def test_nonfinite_derivatives_are_counted_and_left_out() -> None:
    column = np.array([[1.0], [np.nan], [3.0], [np.inf]])
    (row,) = summarised({"exact": column}, "exact", ["a"], "t", 1)
    assert (row.draws, row.nonfinite, row.mean) == (4, 2, 2.0)
    (none,) = summarised({"exact": column[1:2]}, "exact", ["a"], "t", 1)
    assert none.nonfinite == 1
    assert math.isnan(none.mean)
    assert math.isnan(none.signs)


def test_an_engine_that_breaks_on_a_task_is_named() -> None:
    task = find_task("quadratic")
    rows = spread(task, task.build(0, CPU).inner, (Broken(), Refusing()), seconds=0.01)
    by_engine = {row.engine: row for row in rows}
    assert by_engine["broken"].note == "ZeroDivisionError: one too few"
    assert by_engine["broken"].draws == 0
    assert trouble_lines(rows) == [
        "failed: broken on quadratic: ZeroDivisionError: one too few",
        "– refusing on quadratic: never on a Monday",
    ]


def test_spread_on_a_task() -> None:
    task = find_task("digits")
    problem = task.build(0, CPU).inner
    rows = spread(task, problem, (Forward(clamp=1e-4), Auto()), seconds=0.01)
    assert {row.engine for row in rows} == {"auto", "forward, clamped to ±0.0001"}
    assert [r.coefficient for r in rows[: len(rows) // 2]] == list(task.space.scalars)
    assert {(row.draws, row.epochs) for row in rows} == {(3, 1)}  # no time: the fewest, the least
    tight = [row for row in rows if row.engine != "auto"]
    assert max(abs(row.bias) for row in tight) > 1e-3
    assert all(row.deviation > 0 for row in rows)


# Cost.


def test_memory_of_stored_states_grows_with_the_horizon() -> None:
    """And that of plain training does not; a state is 34,186 weights and their velocity."""
    points = [(Broken(), 32, 7), (Stored(), 32, 7), (Stored(), 256, 7), (Checkpointed(), 256, 7)]
    broken, short, long, checkpointed, plain = memory.peaks([*points, (None, 256, 7)], CPU)
    assert math.isnan(broken)
    state = 2 * 4 * 34_186 / 2**20
    assert long - short == pytest.approx(224 * state, rel=0.15)
    assert checkpointed < long / 2
    assert plain < 0.1 * long


def test_an_engine_that_breaks_has_no_time() -> None:
    row = costing.timed(costs(["broken"])[0], costing.cost_problem(CPU), (Broken(), 16, 7))
    assert math.isnan(row.steps)
    assert row.note == "ZeroDivisionError: one too few"


def test_time_is_in_steps_of_plain_training(monkeypatch) -> None:
    monkeypatch.setattr(costing, "HORIZONS", (16,))
    monkeypatch.setattr(costing, "WINDOWS", (7, 20))
    monkeypatch.setattr(costing, "peaks", lambda points, device: [1.0] * len(points))
    rows = list(costing.cost([("stored", Stored())], CPU))
    assert [(r.engine, r.horizon, r.windows) for r in rows] == [
        (engine, *size) for engine in ("plain training", "stored") for size in ((16, 7), (64, 20))
    ]
    assert [row.steps for row in rows[:2]] == [1.0, 1.0]
    for row in rows[2:]:
        assert row.lowest <= row.steps <= row.highest
        assert 2 < row.steps < 20
        assert row.pairs >= 3


# The command.


@pytest.fixture
def small(monkeypatch):
    """An audit of few rules and sizes."""
    few = agreeing.agreement
    monkeypatch.setattr(run, "agreement", lambda engines: few(engines, RULES[:1]))
    monkeypatch.setattr(costing, "HORIZONS", (16, 64))
    monkeypatch.setattr(costing, "WINDOWS", (1, 7))


def command(*arguments: object):
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_a_wrong_engine_ends_with_exit_code_one(small, tmp_path: Path) -> None:
    wrong = f'{HERE}:Unrolled("momentum\'s sign")'
    done = command("--engine", wrong, "--task", "quadratic", "--out", tmp_path)
    assert done.exit_code == 1, done.output
    assert "failed: unrolled, rule sgd, " in done.output
    assert "✗" in done.output
    found = json.loads((tmp_path / "audit.json").read_text())
    assert found["failed"]
    assert found["agreement"]
    with open(tmp_path / "audit.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(found[kind]) for kind in ("agreement", "spread", "cost"))
    assert {row["check"] for row in rows} == {"agreement", "spread", "cost"}
    assert (tmp_path / "audit.png").stat().st_size > 10_000
    assert "<svg" in (tmp_path / "audit.svg").read_text()


def test_online_hypergradients_alone(monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(run, "online", lambda: online.online(RULES[:1]))
    done = command("--searcher", "hd", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    assert "Every check passed: " in done.output
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.csv", "audit.json"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--searcher", "random"], "random is a black-box searcher"),
        (["--searcher", "fsd"], "did you mean fds?"),
        (["--task", "digts"], "digts"),
        (["--engine", "nowhere.py:Engine"], "no such file"),
    ],
)
def test_a_mistake_writes_nothing(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = command(*arguments, "--out", tmp_path / "out")
    assert isinstance(done.exception, (HpobenchError, SearcherError, ValueError))
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)
    assert not (tmp_path / "out").exists()


# The figure.


def costs(engines: list[str]) -> list[Cost]:
    sizes = costing.sizes()
    return [
        Cost(e, *size, (1 + i) * size[1] ** 0.1, 1, 2, 3, (1 + i) * size[0] ** 0.5, "memory")
        for i, e in enumerate(engines)
        for size in sizes
    ]


def texts(figure):
    """Each visible text with its place, in dots."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    found = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text()]
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in found]
    return [(text, box) for text, box in boxes if box.width > 0], figure.bbox


@pytest.mark.parametrize("measured", [8, 1])
def test_no_words_overlap_in_the_figure(measured: int) -> None:
    names = [f"learning_rate_{i}" for i in range(7)] + ["weight_decay"]
    rng = np.random.default_rng(0)
    found = {name: rng.normal(size=(6, 8)) for name in ("auto", "forward, clamped to ±1")}
    spreads = list(summarised(found, "auto", names, "digits", 9))
    engines = ["plain training", *(f"an engine {i}" for i in range(measured))]
    written, canvas = texts(audit_figure(spreads, costs(engines)))
    assert {*names, *engines, "∝ √T"} <= {text for text, _ in written}
    for i, (text, box) in enumerate(written):
        assert canvas.x0 <= box.x0, text
        assert box.x1 <= canvas.x1, text
        for other, its in written[:i]:
            assert not box.overlaps(its), (text, other)


def test_a_figure_without_memory() -> None:
    rows = [Cost("stored", *size, 4.0, 3, 5, 3, math.nan, "memory") for size in costing.sizes()]
    spreads = list(summarised({"auto": np.ones((2, 1))}, "auto", ["a"], "digits", 1))
    written, _ = texts(audit_figure(spreads, rows))
    assert not any("Memory" in text for text, _ in written)
