"""Bayesian optimisation with Optuna's samplers: a Gaussian process, and tree-structured Parzen.

Snoek et al., Practical Bayesian Optimization of Machine Learning Algorithms, NeurIPS 2012;
Bergstra et al., Algorithms for Hyper-Parameter Optimization, NeurIPS 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from searchers.black_box.warm_up import warm_up
from searchers.converters import from_fractions, to_fractions, to_optuna
from searchers.protocols import Brief, Job
from searchers.rng import library_seed
from searchers.settings import make_plain, whole

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


@dataclass(frozen=True)
class BayesianOptimization:
    """A Gaussian process with log expected improvement (Optuna's GPSampler), full trainings.

    Args:
        startup_trials: trainings, the initial configurations among them, before the first model.
        name: what it is called in tables and files.
    """

    startup_trials: int = 10
    name: str = "bo"

    def __post_init__(self) -> None:
        make_plain(self)
        _check_startup(self.name, self.startup_trials)

    def suggester(self, brief: Brief) -> StudySuggester:
        from optuna.samplers import GPSampler

        seed = library_seed(brief.seed, "gaussian process")
        return StudySuggester(brief, GPSampler(seed=seed, n_startup_trials=self.startup_trials))

    def warm_up(self) -> None:
        """Load the Gaussian-process stack (seconds of imports) before a clock runs."""
        warm_up(self, self.startup_trials + 2)


@dataclass(frozen=True)
class TPE:
    """Tree-structured Parzen estimators over all dimensions jointly, full trainings.

    Args:
        startup_trials: as for `BayesianOptimization`.
        candidates: how many points are drawn from the good ones' density to choose a suggestion
            from.
        name: what it is called in tables and files.
    """

    startup_trials: int = 10
    candidates: int = 24
    name: str = "tpe"

    def __post_init__(self) -> None:
        make_plain(self)
        _check_startup(self.name, self.startup_trials)
        whole(f"{self.name}: candidates", self.candidates, 1)

    def suggester(self, brief: Brief) -> StudySuggester:
        from optuna.samplers import TPESampler

        sampler = TPESampler(
            n_startup_trials=self.startup_trials,
            n_ei_candidates=self.candidates,
            seed=library_seed(brief.seed, "parzen estimators"),
            multivariate=True,
            group=False,
            constant_liar=brief.width > 1,
        )
        return StudySuggester(brief, sampler)

    def warm_up(self) -> None:
        """Load Optuna before a clock runs."""
        warm_up(self, self.startup_trials + 2)


class StudySuggester:
    """An Optuna study asked and told: the initial configurations, then what the sampler says.

    Args:
        brief: the cell's.
        sampler: Optuna's, with a seed of its own.
    """

    def __init__(self, brief: Brief, sampler: BaseSampler) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._brief = brief
        self._distributions = to_optuna(brief.space)
        self._study = optuna.create_study(sampler=sampler)
        for configuration in brief.initial:
            self._study.enqueue_trial(to_fractions(brief.space, configuration))

    def ask(self) -> Job:
        trial = self._study.ask(self._distributions)
        if trial.number < len(self._brief.initial):  # as it is: a fraction and back is rounded
            configuration = dict(self._brief.initial[trial.number])
        else:
            configuration = from_fractions(self._brief.space, trial.params)
        return Job(trial.number, configuration, self._brief.horizon)

    def tell(self, job: Job, loss: float) -> None:
        self._study.tell(job.training, loss)


def _check_startup(name: str, startup_trials: int) -> None:
    whole(f"{name}: startup_trials", startup_trials, 1)
