"""How hyperparameters are chosen: search spaces, gradient-based and black-box searchers.

This is the face of the package, for users. `searchers.hypergradients` has the engines that
differentiate a training, `searchers.online` optimizers that tune themselves in anyone's training
loop, and `searchers.testing` the contracts that a searcher of one's own can be held to.
"""

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
from searchers.gradient.outer_optimizers import (
    AdamDescent,
    GradientDescent,
    OuterOptimizer,
    OuterState,
    SignDescent,
)
from searchers.gradient.rmd import RMD
from searchers.inner_problem import Draw, InnerProblem, Metrics, Weights
from searchers.protocols import (
    BlackBoxSearcher,
    Brief,
    Chain,
    Evaluation,
    GradientSearcher,
    Job,
    Suggester,
)
from searchers.schedule_bases import Basis, Cosine, Differentiated, Linear, Windows
from searchers.space import Categorical, Float, Int, Space, SpaceError, Vector
from searchers.update_rules import (
    SGD,
    UPDATE_RULES,
    AdaGrad,
    Adam,
    AdamW,
    Maclaurin,
    RMSProp,
    State,
    UpdateRule,
)

__all__ = [
    "BOHB",
    "FDS",
    "HD",
    "RMD",
    "SEARCHERS",
    "SGD",
    "TPE",
    "UPDATE_RULES",
    "AdaGrad",
    "Adam",
    "AdamDescent",
    "AdamW",
    "Basis",
    "BayesianOptimization",
    "BlackBoxSearcher",
    "Brief",
    "Categorical",
    "Chain",
    "Cosine",
    "Default",
    "DefaultCosine",
    "Differentiated",
    "Draw",
    "Evaluation",
    "FDSPublished",
    "Float",
    "GradientDescent",
    "GradientSearcher",
    "Greedy",
    "GridSearch",
    "Hyperband",
    "InnerProblem",
    "Int",
    "Job",
    "Linear",
    "Maclaurin",
    "Metrics",
    "OuterOptimizer",
    "OuterState",
    "RMSProp",
    "RandomSearch",
    "SearcherError",
    "SignDescent",
    "Space",
    "SpaceError",
    "State",
    "Suggester",
    "UpdateRule",
    "Vector",
    "Weights",
    "Windows",
    "find_searcher",
]
