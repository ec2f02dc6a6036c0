"""The searchers that come with the project, by name."""

from __future__ import annotations

import difflib

from searchers.bayesian import TPE, BayesianOptimization
from searchers.bohb import BOHB
from searchers.errors import SearcherError
from searchers.fds import FDS
from searchers.fds_published import FDSPublished
from searchers.greedy import Greedy
from searchers.grid import GridSearch
from searchers.hd import HD
from searchers.hyperband import Hyperband
from searchers.protocols import Searcher
from searchers.random_search import RandomSearch
from searchers.rmd import RMD
from searchers.zero_search import Default, DefaultCosine

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
    """The searcher of that name with its default settings, or a SearcherError with the names."""
    if name not in SEARCHERS:
        close = difflib.get_close_matches(name, SEARCHERS, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise SearcherError(f"no searcher {name!r}.{hint} There are: {', '.join(SEARCHERS)}")
    return SEARCHERS[name]
