"""Contracts that every searcher passes, ours or a user's."""

from searchers.testing.black_box import check_black_box
from searchers.testing.gradient import check_gradient

__all__ = ["check_black_box", "check_gradient"]
