"""Every searcher on the digits, with the practitioner's log-scaled learning rates."""

from hpobench import Study

SEARCHERS = (
    "default",
    "default_cosine",
    "random",
    "grid",
    "bo",
    "tpe",
    "hyperband",
    "bohb",
    "hd",
    "greedy",
    "fds",
    "fds_published",
    "rmd",
)

study = Study("digits", ["digits"], SEARCHERS, seeds=3, budget=20)
