"""FDS as published: its outer loop written out in plain values, and its end."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from searchers.gradient.fds_published import FDSPublished
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.schedules import schedule
from searchers.protocols import Brief, Chain
from searchers.space import Float, Space, Vector
from searchers.testing.gradient import Valley, example_brief

SPACE = Space({"learning_rate": Vector(3, Float(0.0, 1.0)), "momentum": Float(0.0, 1.0)})
START = dict.fromkeys(SPACE.scalars, 0.0)
BRIEF = Brief(SPACE, (START,), START, (1, 3, 9), True, 0)


def published(clamp: float, trainings: int) -> list[np.ndarray]:
    """The configurations of the published algorithm, from the derivatives by plain values.

    Training 0 is that of the initial configuration in full, which is ours.
    """
    values, step, sign = np.zeros(4), np.full(4, 0.1), np.zeros(4)
    found = []
    for training in range(1, trainings + 1):
        found.append(values)
        flat = dict(zip(SPACE.scalars, values.tolist(), strict=True))
        along = schedule(BRIEF, Valley(), flat, 9 if training > 1 else 1)
        result = Forward(clamp=clamp).hypergradient(Valley(), Valley().draw(training), along)
        new = np.sign(result.by_coefficient.values())
        step = np.where(sign * new == -1, step / 2, step)
        sign = new
        values = np.clip(values - new * step, 0, 1)
        if training > 1 and (step < 0.05 * np.abs(found[-1])).all():
            return [*found, values]
    return found


@pytest.mark.parametrize("clamp", [1.0, 0.05])
@pytest.mark.slow
def test_makes_the_published_steps(clamp: float) -> None:
    search = FDSPublished(clamp=clamp).search(Valley(), BRIEF, Chain())
    offered, *found = islice(search, 11)
    assert (offered.configuration, offered.epochs) == (BRIEF.initial[0], 9)
    configurations = [np.array(list(e.configuration.values())) for e in found]
    expected = published(clamp, 10)
    np.testing.assert_allclose(configurations, expected[: len(found)], atol=1e-12)
    assert [e.epochs for e in found] == [1] + [9] * (len(found) - 1)


@pytest.mark.slow
def test_the_clamp_matters() -> None:
    assert not np.allclose(published(0.05, 15)[-1], published(1.0, 15)[-1])


def test_converged_it_trains_its_last_schedule_and_ends() -> None:
    brief = example_brief("scalar")
    found = list(islice(FDSPublished().search(Valley(), brief, Chain()), 100))
    assert len(found) < 100
    *_, before, last = found
    rates = [float(e.configuration["learning_rate"]) for e in (before, last)]
    assert 0 < abs(rates[1] / rates[0] - 1) < 0.06
    assert "clamped" in before.notes["engine"]
    assert not last.notes  # nothing was differentiated
    assert last.steps == 27 < before.steps


def test_never_ends_while_a_value_is_zero() -> None:
    """A step is never small beside a hyperparameter of 0, such as one held at its bound."""
    space = Space({"learning_rate": Float(1e-3, 1.0, log=True), "weight_decay": Float(0.0, 1e-3)})
    flat = {"learning_rate": 0.05, "weight_decay": 0.0}
    brief = Brief(space, (flat,), flat, (3,), True, 0)

    class Away(Valley):
        def validation_loss(self, vector, buffers):
            return -super().validation_loss(vector, buffers)

    assert len(list(islice(FDSPublished().search(Away(), brief, Chain()), 40))) == 40
