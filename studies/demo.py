"""The demo: every searcher on the digits under both priors, in a few minutes on two cores."""

from hpobench import Study
from studies.digits import SEARCHERS

study = Study("demo", ["digits", "digits_weak_prior"], SEARCHERS, seeds=2, budget=10)
