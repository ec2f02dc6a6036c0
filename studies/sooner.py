"""How much sooner does FDS get there? Ten seeds of each prior, 15 seconds a cell: 25 minutes.

``hpobench replay --every`` then trains all incumbents again, so that the answer is about what was
found and not about a lucky seed.
"""

from hpobench import Study

SEARCHERS = ("fds", "tpe", "bo", "bohb", "random", "default")

study = Study("sooner", ["digits", "digits_weak_prior"], SEARCHERS, seeds=10, budget=15)
