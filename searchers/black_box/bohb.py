"""BOHB: Hyperband's brackets, filled from a density model of the good configurations.

Falkner et al., BOHB: Robust and Efficient Hyperparameter Optimization at Scale, ICML 2018.
The model is that of its authors' HpBandSter; the brackets are those of `brackets`.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from searchers.black_box.hyperband import BracketSuggester
from searchers.black_box.warm_up import warm_up
from searchers.converters import from_fractions, to_configspace, to_fractions
from searchers.errors import SearcherError
from searchers.protocols import Brief
from searchers.rng import library_seed
from searchers.settings import is_number, make_plain, number, whole
from searchers.space import Flat


@dataclass(frozen=True)
class BOHB:
    """Hyperband with kernel densities of good and bad configurations; the initial ones first.

    A model exists for a budget once it has ``min_points`` + dimensions + 1 results; the model of
    the largest such budget is used.

    Args:
        eta: one in ``eta`` configurations is promoted.
        min_points: also the least number of results that count as good; None for dimensions + 1,
            the least that a model takes.
        top_percent: how many of the results count as good.
        candidates: a suggestion is the best of so many draws from the good ones' density.
        random_fraction: of the configurations that are draws from the prior all the same.
        bandwidth_factor: by which that density is widened for the draws.
        min_bandwidth: the least width of a density, as a fraction of the range.
        name: what it is called in tables and files.
    """

    eta: int = 3
    min_points: int | None = None
    top_percent: int = 15
    candidates: int = 64
    random_fraction: float = 1 / 3
    bandwidth_factor: float = 3.0
    min_bandwidth: float = 1e-3
    name: str = "bohb"

    def __post_init__(self) -> None:
        make_plain(self)
        whole(f"{self.name}: eta", self.eta, 2)
        whole(f"{self.name}: candidates", self.candidates, 1)
        if self.min_points is not None:
            whole(f"{self.name}: min_points", self.min_points, 1)
        for name in ("bandwidth_factor", "min_bandwidth"):
            number(f"{self.name}: {name}", getattr(self, name), 0.0)
        if not is_number(self.top_percent) or not 0 < self.top_percent < 100:
            raise SearcherError(f"{self.name}: top_percent is in 1 … 99, not {self.top_percent!r}")
        if not is_number(self.random_fraction) or not 0 <= self.random_fraction <= 1:
            raise SearcherError(
                f"{self.name}: random_fraction is in [0, 1], not {self.random_fraction!r}"
            )

    def suggester(self, brief: Brief) -> BracketSuggester:
        return BracketSuggester(brief, self.eta, DensityModel(brief, self))

    def warm_up(self) -> None:
        """Load HpBandSter and fit a first model before a clock runs."""
        warm_up(replace(self, min_points=None), trainings=20)


class DensityModel:
    """HpBandSter's generator of configurations, with a random state of its own.

    The generator answers its own failures with a random configuration and a warning; here they are
    a SearcherError. ``model_based_picks`` counts the configurations that came from a model so far.

    Args:
        brief: the cell's.
        settings: the searcher.
    """

    def __init__(self, brief: Brief, settings: BOHB) -> None:
        from hpbandster.optimizers.config_generators.bohb import BOHB as ConfigGenerator

        points = len(brief.space) + 1 if settings.min_points is None else settings.min_points
        if points <= len(brief.space):
            raise SearcherError(
                f"{settings.name}: min_points is {points}, but a space of {len(brief.space)} "
                f"dimensions needs at least {len(brief.space) + 1}"
            )
        self._space = brief.space
        self._configspace = to_configspace(brief.space, library_seed(brief.seed, "bohb prior"))
        self._generator = ConfigGenerator(
            self._configspace,
            min_points_in_model=points,
            top_n_percent=settings.top_percent,
            num_samples=settings.candidates,
            random_fraction=settings.random_fraction,
            bandwidth_factor=settings.bandwidth_factor,
            min_bandwidth=settings.min_bandwidth,
            logger=_StrictLogger(settings.name),
        )
        self._state = np.random.RandomState(library_seed(brief.seed, "bohb model")).get_state()
        self.model_based_picks = 0

    @property
    def kde_models(self) -> Mapping[float, Any]:
        """Budget in epochs → its model."""
        return self._generator.kde_models

    def propose(self, epochs: int) -> Flat:
        # A density divides by zero where it has seen one choice only of a Categorical.
        with self._own_randomness(), np.errstate(divide="ignore", invalid="ignore"):
            values, info = self._generator.get_config(float(epochs))
        self.model_based_picks += info["model_based_pick"]
        return from_fractions(self._space, values)

    def learn(self, configuration: Flat, epochs: int, loss: float) -> None:
        from hpbandster.core.dispatcher import Job

        job = Job((0, 0, 0), config=to_fractions(self._space, configuration), budget=float(epochs))
        job.result = {"loss": loss}
        with self._own_randomness(), warnings.catch_warnings():
            # statsmodels announces another random default; the density's bandwidth draws nothing.
            warnings.filterwarnings("ignore", "After 0.17", FutureWarning)
            self._generator.new_result(job)

    @contextmanager
    def _own_randomness(self) -> Iterator[None]:
        """HpBandSter draws from NumPy's global state: lend it ours, and give the old one back."""
        outside = np.random.get_state()  # noqa: NPY002
        np.random.set_state(self._state)  # noqa: NPY002
        try:
            yield
        finally:
            self._state = np.random.get_state()  # noqa: NPY002
            np.random.set_state(outside)  # noqa: NPY002


class _StrictLogger(logging.Logger):
    """HpBandSter warns just before it puts a random configuration in place of a failed one.

    Its other warnings are about densities that have not seen every choice of a Categorical, which
    it handles.
    """

    def warning(self, msg: object, *args: object, **kwargs: Any) -> None:
        if "using random configuration" not in str(msg).lower():
            return
        cause = sys.exc_info()[1]
        reason = " ".join(f"{type(cause).__name__}: {cause}".split())
        raise SearcherError(f"{self.name}: HpBandSter's density model failed: {reason}") from cause
