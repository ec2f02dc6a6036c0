"""How hyperparameters are chosen: search spaces, gradient-based and black-box searchers."""

from searchers.bayesian import TPE, BayesianOptimization
from searchers.bohb import BOHB
from searchers.catalog import SEARCHERS, find_searcher
from searchers.errors import SearcherError
from searchers.fds import FDS
from searchers.fds_published import FDSPublished
from searchers.greedy import Greedy
from searchers.grid import GridSearch
from searchers.hd import HD
from searchers.hyperband import Hyperband
from searchers.outer import AdamDescent, GradientDescent, SignDescent
from searchers.protocols import Brief, Chain, Evaluation, Job
from searchers.random_search import RandomSearch
from searchers.rmd import RMD
from searchers.space import Categorical, Float, Int, Space, SpaceError, Vector
from searchers.zero_search import Default, DefaultCosine

__all__ = [
    "BOHB",
    "FDS",
    "HD",
    "RMD",
    "SEARCHERS",
    "TPE",
    "AdamDescent",
    "BayesianOptimization",
    "Brief",
    "Categorical",
    "Chain",
    "Default",
    "DefaultCosine",
    "Evaluation",
    "FDSPublished",
    "Float",
    "GradientDescent",
    "Greedy",
    "GridSearch",
    "Hyperband",
    "Int",
    "Job",
    "RandomSearch",
    "SearcherError",
    "SignDescent",
    "Space",
    "SpaceError",
    "Vector",
    "find_searcher",
]
