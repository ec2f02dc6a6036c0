from __future__ import annotations

import heapq
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchers.black_box.bohb import BOHB, DensityModel
from searchers.black_box.hyperband import BracketSuggester
from searchers.converters import fractional
from searchers.errors import SearcherError
from searchers.protocols import Brief, Job
from searchers.space import Categorical, Flat, Float, Int, Space, Vector
from tests.searchers.space_strategies import EXTREMES, spaces


def brief_of(space: Space, seed: int = 0, width: int = 1) -> Brief:
    start = space.from_unit(np.full(len(space), 0.3))
    return Brief(space, (start,), start, (1, 3, 9), compress=True, seed=seed, width=width)


MIXED = Space(
    {
        "v": Vector(2, Float(1e-3, 3.0, log=True)),
        "m": Float(0.0, 0.99),
        "n": Int(1, 64, log=True),
        "c": Categorical(("a", 2, True)),
    }
)


QUICK = BOHB(candidates=8)


def loss(brief: Brief, configuration: Flat, epochs: int) -> float:
    u = brief.space.to_unit(configuration)
    value = float(((u - 0.7) ** 2).sum()) + 0.3 / epochs
    return 10.0 if value > 1.0 else value


def run(brief: Brief, searcher: BOHB, jobs: int) -> BracketSuggester:
    """``brief.width`` slots, none idle, trainings of random length."""
    rng = random.Random(brief.seed)
    suggester = searcher.suggester(brief)
    running: list[tuple[float, int, Job]] = []
    now = 0.0
    for n in range(jobs):
        if len(running) == brief.width:
            now, _, job = heapq.heappop(running)
            suggester.tell(job, loss(brief, job.configuration, job.epochs))
        job = suggester.ask()
        brief.space.check(job.configuration)
        heapq.heappush(running, (now + rng.expovariate(1 / job.epochs), n, job))
    return suggester


def model(suggester: BracketSuggester) -> DensityModel:
    assert isinstance(suggester.proposer, DensityModel)
    return suggester.proposer


@pytest.mark.slow
@pytest.mark.parametrize("width", [1, 2, 4])
def test_there_is_a_model_of_the_largest_budget_at_every_width(width: int) -> None:
    """Five full results a round of 22 jobs; six dimensions need 2·6: four rounds, and a margin."""
    suggester = run(brief_of(MIXED, width=width), QUICK, 22 * 4)
    assert max(model(suggester).kde_models) == 9.0
    assert model(suggester).model_based_picks > 10
    counts = Counter(bracket.rungs[0].size for bracket in suggester.brackets.complete)
    assert all(3 <= counts[size] <= 4 for size in (9, 5, 3))


@pytest.mark.slow
def test_models_find_better_configurations_than_the_prior() -> None:
    brief = brief_of(MIXED)
    suggester = run(brief, BOHB(random_fraction=0.0, candidates=16), 22 * 4)
    losses = [loss(brief, c, 9) for c in suggester._configurations]
    assert np.median(losses[-20:]) < np.median(losses[:17]) / 2


@pytest.mark.slow
def test_model_based_picks_follow_the_random_fraction() -> None:
    def picks(fraction: float) -> int:
        return model(
            run(brief_of(MIXED), BOHB(random_fraction=fraction, candidates=8), 45)
        ).model_based_picks

    assert picks(1.0) == 0
    assert 0 < picks(0.5) < picks(0.0)


@pytest.mark.parametrize("width", [1, 4])
def test_equal_seeds_repeat_whatever_the_global_random_state(width: int) -> None:
    brief = brief_of(MIXED, width=width)
    runs = []
    for global_seed in (1, 2):
        np.random.seed(global_seed)  # noqa: NPY002
        before = repr(np.random.get_state())  # noqa: NPY002
        suggester = run(brief, QUICK, 45)
        assert repr(np.random.get_state()) == before  # noqa: NPY002
        assert model(suggester).model_based_picks > 3
        runs.append(suggester._configurations)
    assert runs[0] == runs[1]
    assert run(replace(brief, seed=1), QUICK, 45)._configurations != runs[0]


def test_two_searches_side_by_side_do_not_disturb_each_other() -> None:
    brief = brief_of(MIXED)
    alone = run(brief, QUICK, 45)
    one, two = QUICK.suggester(brief), QUICK.suggester(replace(brief, seed=9))
    for _ in range(45):
        for suggester in (one, two):
            job = suggester.ask()
            suggester.tell(job, loss(brief, job.configuration, job.epochs))
    assert one._configurations == alone._configurations
    assert model(one).model_based_picks == model(alone).model_based_picks > 3


@pytest.mark.slow
@settings(max_examples=25)
@given(spaces, st.integers(0, 10**6))
def test_any_space_corners_ties_and_ceilings(space: Space, seed: int) -> None:
    """Model-based suggestions from any space are in it, and corners can be learnt."""
    corners = tuple(space.from_unit(np.full(len(space), u)) for u in (0.0, 1.0))
    brief = replace(brief_of(space, seed), initial=corners, budgets=(1,))
    suggester = BOHB(random_fraction=0.1, candidates=4).suggester(brief)
    rng = random.Random(seed)
    for n in range(2 * len(space) + 12):
        job = suggester.ask()
        if n < 2:
            assert job.configuration == corners[n]
        space.check(job.configuration)
        suggester.tell(job, rng.choice([10.0, 0.5, rng.random()]))
    assert model(suggester).model_based_picks > 0


@pytest.mark.parametrize("name", [n for n, domain in EXTREMES.items() if fractional(domain)])
def test_the_model_of_an_extreme_range_is_of_its_fractions(name: str) -> None:
    """Each result is known to the model where it lies in the range, in its own scale."""
    space = Space({name: EXTREMES[name]})
    brief = replace(brief_of(space), budgets=(1,))
    suggester = run(brief, BOHB(random_fraction=0.0, candidates=4), 12)
    assert model(suggester).model_based_picks > 3
    [known] = model(suggester)._generator.configs.values()
    told = [space.to_unit(c)[0] for c in suggester._configurations][: len(known)]
    assert np.ravel(known) == pytest.approx(told, abs=1e-9)
    assert np.ravel(known).min() >= 0.0
    assert np.ravel(known).max() <= 1.0


def test_a_failed_model_is_an_error_and_not_a_random_configuration() -> None:
    suggester = run(brief_of(MIXED), BOHB(random_fraction=0.0, candidates=8), 45)
    broken = model(suggester)
    broken.kde_models[max(broken.kde_models)]["good"] = None
    with pytest.raises(SearcherError, match="bohb: HpBandSter's density model failed: Attr") as e:
        broken.propose(1)
    assert "\n" not in str(e.value)


def test_is_silent(capfd: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder) -> None:
    BOHB(min_points=3).warm_up()
    run(brief_of(MIXED), QUICK, 45)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    shown = [w for w in recwarn if not issubclass(w.category, DeprecationWarning)]
    assert [str(w.message) for w in shown] == []


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"eta": 1}, "bohb: eta is"),
        ({"top_percent": 0}, "bohb: top_percent is in 1 … 99, not 0"),
        ({"random_fraction": 1.5}, r"bohb: random_fraction is in \[0, 1\]"),
        ({"min_points": 5}, "bohb: min_points is 5, but a space of 5 dimensions needs at least 6"),
    ],
)
def test_bad_settings_are_one_line(settings_: dict[str, float], says: str) -> None:
    with pytest.raises(SearcherError, match=says):
        BOHB(**settings_).suggester(brief_of(MIXED))  # type: ignore[arg-type]
