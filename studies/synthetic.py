"""Every searcher on the two quadratics, whose optima are known: a check of minutes."""

from hpobench import Study, evaluations
from studies.digits import SEARCHERS

study = Study(
    "synthetic", ["quadratic", "noisy_quadratic"], SEARCHERS, seeds=2, budget=evaluations(60)
)
