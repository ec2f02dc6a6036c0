"""Searchers that step along hypergradients."""
