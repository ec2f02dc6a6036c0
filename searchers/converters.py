"""The search space in the words of other libraries: same names, ranges, scales and supports.

Vectors are flattened to scalars. Whole numbers include both bounds everywhere. What a library
hands back goes through `from_library`, which undoes its rounding and its own number types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchers.space import Categorical, Flat, Float, Int, Space, SpaceError

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from optuna.distributions import BaseDistribution
    from ray.tune.search.sample import Domain

# ConfigSpace rounds every real number to 13 decimals: a range has to be coarse beside that.
CONFIGSPACE_FINEST = 1e-10


def to_optuna(space: Space) -> dict[str, BaseDistribution]:
    """Flat name → Optuna distribution, in the space's order."""
    from optuna import distributions

    def emit(domain: Float | Int | Categorical) -> BaseDistribution:
        if isinstance(domain, Float):
            return distributions.FloatDistribution(domain.low, domain.high, log=domain.log)
        if isinstance(domain, Int):
            return distributions.IntDistribution(domain.low, domain.high, log=domain.log)
        return distributions.CategoricalDistribution(domain.choices)

    return {name: emit(domain) for name, domain in space.scalars.items()}


def to_configspace(space: Space, seed: int) -> ConfigurationSpace:
    """A ConfigSpace with its own random state (it sorts its hyperparameters by name).

    Raises:
        SpaceError: a real range is finer than ConfigSpace's 13 decimals can hold.
    """
    import ConfigSpace

    def emit(name: str, domain: Float | Int | Categorical) -> Any:
        if isinstance(domain, Float):
            finest = domain.low if domain.log else domain.high - domain.low
            if finest < CONFIGSPACE_FINEST:
                raise SpaceError(
                    f"{name}: {_range(domain)} is too fine for ConfigSpace, which keeps 13 "
                    f"decimals; rescale it to {CONFIGSPACE_FINEST:g} or more"
                )
            return ConfigSpace.UniformFloatHyperparameter(
                name, domain.low, domain.high, log=domain.log
            )
        if isinstance(domain, Int):
            return ConfigSpace.UniformIntegerHyperparameter(
                name, domain.low, domain.high, log=domain.log
            )
        return ConfigSpace.CategoricalHyperparameter(name, domain.choices)

    emitted = ConfigSpace.ConfigurationSpace(seed=seed)
    emitted.add([emit(name, domain) for name, domain in space.scalars.items()])
    return emitted


def to_tune(space: Space) -> dict[str, Domain]:
    """Flat name → Ray Tune domain; Tune's whole-number ranges leave their upper bound out."""
    from ray import tune

    def emit(domain: Float | Int | Categorical) -> Any:
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


def _unrounded(domain: Float | Int | Categorical, value: Any) -> Any:
    if not isinstance(domain, Float):
        return value
    clipped = min(max(value, domain.low), domain.high)
    return clipped if abs(value - clipped) <= 1e-12 + 1e-9 * abs(clipped) else value


def _range(domain: Float) -> str:
    return f"{'log' if domain.log else 'linear'} {domain.low:g} … {domain.high:g}"
