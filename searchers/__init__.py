"""How hyperparameters are chosen: search spaces, gradient-based and black-box searchers."""

from searchers.black_box.baselines import Default, DefaultCosine
from searchers.black_box.bayesian import TPE, BayesianOptimization
from searchers.black_box.bohb import BOHB
from searchers.black_box.grid import GridSearch
from searchers.black_box.hyperband import Hyperband
from searchers.black_box.random_search import RandomSearch
from searchers.catalog import SEARCHERS, find_searcher
from searchers.errors import SearcherError
from searchers.gradient.fds import FDS
from searchers.gradient.fds_published import FDSPublished
from searchers.gradient.greedy import Greedy
from searchers.gradient.hd import HD
from searchers.gradient.outer_optimizers import AdamDescent, GradientDescent, SignDescent
from searchers.gradient.rmd import RMD
from searchers.protocols import Brief, Chain, Evaluation, Job
from searchers.space import Categorical, Float, Int, Space, SpaceError, Vector

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
