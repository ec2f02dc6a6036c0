"""One Ray for many tests: to start another for each takes longer than what they try."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from ray.cluster_utils import Cluster


@contextmanager
def ray_cluster(cores: int) -> Iterator[Cluster]:
    """A cluster of one node; more join it by `add_node`."""
    with pytest.MonkeyPatch.context() as patch:
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
