"""The searchers that come with the project, by name."""

from __future__ import annotations

import difflib

from searchers.black_box.baselines import Default, DefaultCosine
from searchers.black_box.bayesian import TPE, BayesianOptimization
from searchers.black_box.bohb import BOHB
from searchers.black_box.grid import GridSearch
from searchers.black_box.hyperband import Hyperband
from searchers.black_box.random_search import RandomSearch
from searchers.errors import SearcherError
from searchers.gradient.fds import FDS
from searchers.gradient.fds_published import FDSPublished
from searchers.gradient.greedy import Greedy
from searchers.gradient.hd import HD
from searchers.gradient.rmd import RMD
from searchers.protocols import Searcher

SEARCHERS: dict[str, Searcher] = {
    searcher.name: searcher
    for searcher in (
        Default(),
        DefaultCosine(),
        RandomSearch(),
        GridSearch(),
        BayesianOptimization(),
        TPE(),
        Hyperband(),
        BOHB(),
        HD(),
        Greedy(),
        FDS(),
        FDSPublished(),
        RMD(),
    )
}


def find_searcher(name: str) -> Searcher:
    """The searcher of that name with its default settings.

    Raises:
        SearcherError: there is none; the message has the names.
    """
    if name not in SEARCHERS:
        close = difflib.get_close_matches(name, SEARCHERS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise SearcherError(f"no searcher {name!r}.{hint} There are: {', '.join(SEARCHERS)}")
    return SEARCHERS[name]
