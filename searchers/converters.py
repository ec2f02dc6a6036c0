"""The search space in the words of other libraries: same names, scales and supports.

Vectors are flattened to scalars. Whole numbers include both bounds everywhere. Optuna and
ConfigSpace are handed a real range as 0 … 1, the fraction of it in its own scale, so that neither's
rounding matters: what goes there is said by `to_fractions`, and what comes back by
`from_fractions`. Ray Tune is handed the range itself; `from_library` undoes its number types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchers.space import Categorical, Flat, Float, Int, Scalar, Space

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from optuna.distributions import BaseDistribution
    from ray.tune.search.sample import Domain

MOST_LISTED = 1000
"""Of so many whole numbers at most, Optuna's Gaussian process is let make a list."""


def to_optuna(space: Space) -> dict[str, BaseDistribution]:
    """Flat name → Optuna distribution, in the space's order; of fractions where `fractional`."""
    from optuna import distributions

    def emit(domain: Scalar) -> BaseDistribution:
        if fractional(domain):
            return distributions.FloatDistribution(0.0, 1.0)
        if isinstance(domain, Int):
            return distributions.IntDistribution(domain.low, domain.high, log=domain.log)
        assert isinstance(domain, Categorical)
        return distributions.CategoricalDistribution(domain.choices)

    return {name: emit(domain) for name, domain in space.scalars.items()}


def to_configspace(space: Space, seed: int) -> ConfigurationSpace:
    """A ConfigSpace with its own random state (it sorts its hyperparameters by name).

    Its ranges are of fractions where `fractional`.
    """
    import ConfigSpace

    def emit(name: str, domain: Scalar) -> Any:
        if fractional(domain):
            return ConfigSpace.UniformFloatHyperparameter(name, 0.0, 1.0)
        if isinstance(domain, Int):
            return ConfigSpace.UniformIntegerHyperparameter(
                name, domain.low, domain.high, log=domain.log
            )
        assert isinstance(domain, Categorical)
        return ConfigSpace.CategoricalHyperparameter(name, domain.choices)

    emitted = ConfigSpace.ConfigurationSpace(seed=seed)
    emitted.add([emit(name, domain) for name, domain in space.scalars.items()])
    return emitted


def fractional(domain: Scalar) -> bool:
    """Whether Optuna and ConfigSpace know the fraction of the range, not the value.

    ConfigSpace rounds real numbers to 13 decimals, and Optuna divides by widths that may underflow.
    Whole numbers are themselves, unless they are too many to be listed.
    """
    if isinstance(domain, Int):
        return domain.high - domain.low >= MOST_LISTED
    return isinstance(domain, Float)


def to_fractions(space: Space, configuration: Flat) -> Flat:
    """A configuration as Optuna and ConfigSpace know it."""
    return {
        name: domain.to_unit(configuration[name]) if fractional(domain) else configuration[name]
        for name, domain in space.scalars.items()
    }


def from_fractions(space: Space, values: Mapping[str, Any]) -> Flat:
    """What Optuna or ConfigSpace suggests, as `from_library` has it.

    Raises:
        SpaceError: a value lies outside, or a name is missing or unknown.
    """
    return from_library(
        space,
        {
            name: domain.from_unit(float(value))
            if (domain := space.scalars.get(name)) and fractional(domain)
            else value
            for name, value in values.items()
        },
    )


def to_tune(space: Space) -> dict[str, Domain]:
    """Flat name → Ray Tune domain; Tune's whole-number ranges leave their upper bound out."""
    from ray import tune

    def emit(domain: Scalar) -> Any:
        if isinstance(domain, Categorical):
            return tune.choice(list(domain.choices))
        if isinstance(domain, Int):
            draw = tune.lograndint if domain.log else tune.randint
            return draw(domain.low, domain.high + 1)
        return (tune.loguniform if domain.log else tune.uniform)(domain.low, domain.high)

    return {name: emit(domain) for name, domain in space.scalars.items()}


def from_library(space: Space, values: Mapping[str, Any]) -> Flat:
    """What a library suggests as a checked flat configuration, in the space's own types.

    A real number that rounding has put just outside its range is clipped.

    Raises:
        SpaceError: a value lies further outside, or a name is missing or unknown.
    """
    return space.check(
        {
            name: _unrounded(space.scalars[name], value) if name in space.scalars else value
            for name, value in values.items()
        }
    )


def _unrounded(domain: Scalar, value: Any) -> Any:
    if not isinstance(domain, Float):
        return value
    clipped = min(max(value, domain.low), domain.high)
    return clipped if abs(value - clipped) <= 1e-12 + 1e-9 * abs(clipped) else value
