"""The audit passes what is right, and names what is wrong."""

from __future__ import annotations

import io
import math
from functools import cache

import pytest
import torch
from rich.console import Console

from hpobench.audit import online
from hpobench.audit.agreement import FINITE, STORED, compared, expect, fourth_order
from hpobench.audit.problems import NETS, RULES, case
from hpobench.audit.rows import Agreement
from hpobench.audit.subjects import (
    ENGINES,
    labelled,
)
from hpobench.audit.table import agreement_table, failure_lines
from searchers.hypergradients.auto import Auto
from searchers.update_rules import SGD
from tests.hpobench.audit.unrolled_engine import Broken, Refusing, Short, Unrolled

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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
@pytest.mark.slow
def test_an_engine_without_an_answer_fails(engine, said: str) -> None:
    lines = failure_lines(audited(engine, nets=["plain"]))
    assert len(lines) == 1
    assert said in lines[0]
    assert "\n" not in lines[0]


def test_the_table_says_what_was_chosen_and_what_limits_are_relative_to() -> None:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(agreement_table(audited(Auto(), nets=["plain"]), against_differences=False))
    table = console.export_text()
    assert "auto (graphs) " in table
    assert "relative to max(1, |value|): below 1, differences and limits are absolute" in table
    assert max(map(len, table.splitlines())) <= 100


@pytest.mark.slow
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
