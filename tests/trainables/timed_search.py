"""A search with what each of its evaluations took, for tests of where its seconds go."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

import torch

from searchers.catalog import SEARCHERS
from searchers.protocols import BlackBoxSearcher, Chain, Evaluation, GradientSearcher
from trainables.task import Task
from trainables.warm_up import warm_up, warm_up_forward_mode

CPU = torch.device("cpu")
GRADIENT_BASED = [s for s in SEARCHERS.values() if not isinstance(s, BlackBoxSearcher)]


def timed(searcher: GradientSearcher, task: Task, count: int) -> Iterator[tuple[Evaluation, float]]:
    """Its first evaluations with what each of them took on the wall."""
    warm_up(CPU)
    warm_up_forward_mode(CPU)
    search = iter(searcher.search(task.build(0, CPU).inner, task.brief(0, 1), Chain()))
    for _ in range(count):
        began = time.perf_counter()
        evaluation = next(search, None)
        if evaluation is None:
            return
        yield evaluation, time.perf_counter() - began


def assert_parts_make_the_whole(found: Iterable[tuple[Evaluation, float]], most: float) -> None:
    """The parts of each are no more than the whole, and leave at most that share over once."""
    left = []
    for evaluation, wall in found:
        assert all(seconds >= 0 for seconds in evaluation.seconds.values())
        assert sum(evaluation.seconds.values()) <= wall
        left.append(1 - sum(evaluation.seconds.values()) / wall)
    assert min(left) <= most  # others use this machine
