"""One Ray for many tests: to start another for each takes longer than what they try."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import pytest
from ray._private import services
from ray.cluster_utils import Cluster

NODE_SECONDS = 300.0
"""How long a node may take to come up: Ray gives it half a minute, too little on a busy machine."""


@contextmanager
def patient_with_nodes() -> Iterator[None]:
    """Ray asks whether a new node is there until it has an answer, or no patience: here, more."""
    get_node = services.get_node

    def patient(*arguments: Any) -> Any:
        end = time.monotonic() + NODE_SECONDS
        while True:
            try:
                return get_node(*arguments)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    wait = partialmethod(Cluster._wait_for_node, timeout=NODE_SECONDS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(services, "get_node", patient)
        patch.setattr(Cluster, "_wait_for_node", wait)
        yield


@contextmanager
def ray_cluster(cores: int) -> Iterator[Cluster]:
    """A cluster of one node; more join it by `add_node`."""
    with pytest.MonkeyPatch.context() as patch, patient_with_nodes():
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster()
        try:
            add_node(cluster, cores, include_dashboard=False)
            yield cluster
        finally:
            cluster.shutdown()


def add_node(cluster: Cluster, cores: int, **more: Any) -> None:
    """A node with so many cores and little memory joins a cluster."""
    cluster.add_node(num_cpus=cores, object_store_memory=100 * 1024**2, **more)
