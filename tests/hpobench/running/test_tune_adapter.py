"""Tune's view of a cell, as far as it can be seen without Ray."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.air.execution.resources import FixedResourceManager, ResourceRequest
from ray.tune.execution import tune_controller
from ray.tune.experiment import Experiment
from ray.tune.registry import get_trainable_cls

from hpobench import Budget
from hpobench.running import tune_adapter
from hpobench.running.cell_loop import CellLoop, Header
from hpobench.running.exchange import Exchange
from searchers.catalog import find_searcher
from trainables.tasks import find_task
from trainables.trainable import SlotContext


def test_cells_of_one_ray_job_never_get_each_others_trainable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tune keeps trainables by name, for all the controllers of a job."""
    names = []

    class Tuner:
        def __init__(self, trainable: Any, **settings: Any) -> None:
            names.append(trainable)

        def fit(self) -> None:
            pass

    monkeypatch.setattr(tune_adapter.tune, "Tuner", Tuner)
    manager = tune_controller.PlacementGroupResourceManager
    monkeypatch.setattr(tune_controller, "PlacementGroupResourceManager", manager)
    task = find_task("quadratic")
    for name in ("random", "fds"):
        searcher = find_searcher(name)
        loop = CellLoop(Header("c", task.name, name, 0, 1), task, searcher, Budget(1), 1)
        context = SlotContext(task, searcher, 0, 1, lambda report: None, tmp_path)
        tune_adapter.tune_cell(Exchange(loop), context, 1, 0.0, tmp_path)
    one, other = map(Experiment.get_trainable_name, names)
    assert one != other
    assert get_trainable_cls(one) is not get_trainable_cls(other)


shares = st.one_of(
    st.integers(1, 16).map(lambda parts: 1 / parts),
    st.integers(1, 100).map(lambda hundredths: hundredths / 100),
    st.integers(0, 3).map(float),
)


@given(width=st.integers(1, 40), cpus=st.integers(1, 8), gpus=shares)
def test_tune_has_resources_for_every_slot_of_a_cell(width: int, cpus: int, gpus: float) -> None:
    """And for none that there is not."""
    manager = FixedResourceManager.__new__(FixedResourceManager)  # its __init__ asks a Ray
    manager._allow_strict_pack = True
    manager._total_resources = tune_adapter.slots_together(width, cpus, gpus)
    manager.clear()
    for _ in range(width):
        request = ResourceRequest([{"CPU": cpus, "GPU": gpus}])
        manager.request_resources(request)
        assert manager.acquire_resources(request) is not None
    left = manager._available_resources
    assert left["CPU"] == 0
    assert math.isclose(left["GPU"], 0, abs_tol=1e-5)
