"""Clocks that wait for the device: on a made-up accelerator, whose time passes only in waiting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from searchers import stopwatch
from searchers.catalog import SEARCHERS
from searchers.errors import SearcherError
from searchers.gradient.fds import FDS
from searchers.gradient.greedy import Greedy
from searchers.gradient.measured_points import evaluate, measure
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Binomial, Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.hypergradients.reversible_arithmetic import OutOfRange
from searchers.protocols import BlackBoxSearcher, Chain, checked_evaluation
from searchers.stopwatch import Stopwatch, clock, wait_for
from searchers.testing.gradient import Valley, check_gradient, example_brief

CPU = torch.device("cpu")
GRADIENT_BASED = [s for s in SEARCHERS.values() if not isinstance(s, BlackBoxSearcher)]
VALIDATION = 1000.0
STEPS = 27  # of a full training of the valley


@dataclass
class Accelerator:
    """Takes work, and does it once somebody waits. No other time passes."""

    now: float = 0.0
    waiting: float = 0.0
    waits: int = 0

    def work(self, seconds: float) -> None:
        self.waiting += seconds

    def synchronize(self, device: torch.device | None = None) -> None:
        self.now += self.waiting
        self.waiting = 0.0
        self.waits += 1


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Accelerator:
    made_up = Accelerator()
    monkeypatch.setattr(torch.cuda, "synchronize", made_up.synchronize)
    monkeypatch.setattr(torch.mps, "synchronize", lambda: made_up.synchronize())
    monkeypatch.setattr(stopwatch, "time", SimpleNamespace(monotonic=lambda: made_up.now))
    return made_up


@dataclass(frozen=True)
class OnAccelerator(Valley):
    """The valley, said to be on a GPU: a training step takes a second, a validation a thousand."""

    accelerator: Accelerator = field(default_factory=Accelerator)

    @property
    def device(self) -> torch.device:
        return torch.device("cuda")

    def training_loss(self, *args, **kwargs):
        self.accelerator.work(1.0)
        return super().training_loss(*args, **kwargs)

    def validation(self, weights):
        self.accelerator.work(VALIDATION)
        return super().validation(weights)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
def test_every_lap_waits_for_the_device(kind: str, accelerator: Accelerator) -> None:
    accelerator.work(7.0)  # of before
    laps = Stopwatch(torch.device(kind))
    for part, seconds in (("train", 1.0), ("validation", 2.0), ("train", 4.0)):
        accelerator.work(seconds)
        laps.end(part)
    assert laps.seconds == {"train": 5.0, "validation": 2.0}
    assert accelerator.waits == 4


def test_the_right_one_of_several_devices_is_waited_for(monkeypatch) -> None:
    waited = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    wait_for(torch.device("cuda:1"))
    assert waited == [torch.device("cuda:1")]


def test_a_cpu_is_not_waited_for(accelerator: Accelerator) -> None:
    laps = Stopwatch(CPU)
    laps.end("train")
    clock(CPU)
    assert accelerator.waits == 0


durations = st.floats(0.0, 1e4)


@given(
    st.lists(st.tuples(st.sampled_from("abc"), durations, st.dictionaries(st.just("d"), durations)))
)
def test_parts_add_up_to_the_whole(plan) -> None:
    """Also with laps in which another stopwatch ran."""
    now, expected = [0.0], dict[str, float]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stopwatch, "time", SimpleNamespace(monotonic=lambda: now[0]))
        laps = Stopwatch(CPU)
        for part, own, inside in plan:
            now[0] += own + sum(inside.values())
            laps.end(part, inside)
            for name, seconds in ((part, own), *inside.items()):
                expected[name] = expected.get(name, 0.0) + seconds
    assert sum(laps.seconds.values()) == pytest.approx(now[0], abs=1e-6)
    assert laps.seconds == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("searcher", GRADIENT_BASED, ids=lambda s: s.name)
def test_all_work_of_an_evaluation_is_in_its_parts(searcher, accelerator: Accelerator) -> None:
    """And what was left waiting by one part is not charged to the next."""
    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    search, found = searcher.search(problem, brief, Chain()), []
    for _ in range(6):
        began = accelerator.now
        evaluation = next(search, None)
        if evaluation is None:
            break
        assert sum(evaluation.seconds.values()) == accelerator.now - began
        assert evaluation.seconds["validation"] == VALIDATION
        assert accelerator.waiting == 0
        found.append(evaluation)
    assert len(found) > 2


@pytest.mark.parametrize(
    ("engine", "again"),
    [
        (Graphs(), 0),
        (Stored(), STEPS - 1),
        (Checkpointed(3), STEPS - 3),
        (Binomial(2), 106),
        (Reversible(), STEPS),
        (Auto(), 1),  # looks at a step, and then keeps every graph
    ],
    ids=lambda e: getattr(e, "name", ""),
)
def test_a_training_is_told_from_its_differentiation(
    engine, again: int, accelerator: Accelerator
) -> None:
    """The first pass is train; probes, and steps repeated on the way back, are hypergradient."""
    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    found, _ = evaluate(problem, brief, brief.initial[0], 9, 0, engine)
    assert found.seconds == {"train": STEPS, "hypergradient": again, "validation": VALIDATION}


def test_forward_mode_cannot_tell_them_apart(accelerator: Accelerator) -> None:
    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    found, _ = evaluate(problem, brief, brief.initial[0], 9, 0, Forward(chunk=2))
    assert found.seconds == {"train": 0, "hypergradient": STEPS, "validation": VALIDATION}


def test_a_training_that_is_not_differentiated(accelerator: Accelerator) -> None:
    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    found = measure(problem, brief, brief.initial[0], 9, 0)
    assert found.seconds == {"train": STEPS, "validation": VALIDATION}


def test_an_engine_that_gave_up_took_its_time(accelerator: Accelerator) -> None:
    @dataclass(frozen=True)
    class GivesUp:
        name: str = "gives up"

        def hypergradient(self, problem, draw, schedule):
            accelerator.work(5.0)
            raise OutOfRange("left the range")

    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    found, _ = evaluate(problem, brief, brief.initial[0], 9, 0, GivesUp())
    assert found.seconds == {"hypergradient": 5.0, "train": STEPS, "validation": VALIDATION}


def test_greedy_windows_are_trained_once(accelerator: Accelerator) -> None:
    """Its engine's training is the training; only the looking back is hypergradient."""
    problem, brief = OnAccelerator(accelerator=accelerator), example_brief()
    (graphs,) = islice(Greedy(horizon=4).search(problem, brief, Chain()), 1)
    assert graphs.seconds == {"train": STEPS, "hypergradient": 0, "validation": VALIDATION}
    stored = Greedy(horizon=4, engine=Stored())
    (found,) = islice(stored.search(problem, brief, Chain()), 1)
    assert found.seconds["train"] == STEPS
    assert found.seconds["hypergradient"] == 6 * 3  # all but the last step of each window


@dataclass(frozen=True)
class Booked:
    """FDS with other books."""

    books: Callable[[float], float]
    name: str = "booked"

    def search(self, problem, brief, chain):
        for evaluation in FDS().search(problem, brief, chain):
            parts = {name: self.books(seconds) for name, seconds in evaluation.seconds.items()}
            yield replace(evaluation, seconds=parts)


@pytest.mark.parametrize(
    ("books", "said"),
    [
        (lambda seconds: seconds + 1.0, "parts that take"),
        (lambda seconds: -seconds, "seconds of train"),
        (lambda seconds: seconds * float("nan"), "nan seconds of train"),
    ],
)
def test_the_contract_finds_books_that_are_not_honest(books, said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check_gradient(Booked(books))


@pytest.mark.parametrize("seconds", [float("nan"), float("inf"), -1e-3, "1 s", None])
def test_an_evaluation_is_recorded_with_seconds_only(seconds: object) -> None:
    brief = example_brief()
    (evaluation,) = islice(FDS().search(Valley(), brief, Chain()), 1)
    assert checked_evaluation(evaluation, brief).seconds == evaluation.seconds
    with pytest.raises(SearcherError, match="the seconds of 'train' are a number") as caught:
        checked_evaluation(replace(evaluation, seconds={"train": seconds}), brief)
    assert "\n" not in str(caught.value)
