"""Parameters that are dealt out to processes: the trajectories of one process that has them all."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.distributed.optim import ZeroRedundancyOptimizer
from torch.nn.parallel import DistributedDataParallel

from searchers.errors import SearcherError
from searchers.online import SGD, SGDHD, Adam, AdamHD, Tower

BETAS = ("lr", "beta1", "beta2")

MAKES: dict[str, Callable[..., Tower]] = {
    "sgd-hd": lambda params, **more: SGDHD(params, 0.05, 1e-2, momentum=0.5, **more),
    "multiplicative": lambda params, **more: SGDHD(
        params, 0.05, 1e-1, multiplicative=True, weight_decay=0.1, **more
    ),
    "adam-hd": lambda params, **more: AdamHD(params, 0.01, [1e-3, 1e-6], **more),
    "clipped tower": lambda params, **more: Tower(
        params, [Adam(0.01, learned=BETAS), Adam(1e-2), SGD(1e-4)], clip="hypergradients", **more
    ),
}
STEPS, PROCESSES = 6, 2


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 3)).double()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    stream = torch.Generator().manual_seed(1)
    inputs = torch.randn(20, 4, generator=stream, dtype=torch.float64)
    return inputs, torch.randint(3, (20,), generator=stream)


def trained(net: nn.Module, optimizer: Any, part: slice, rates: Callable[[], list[float]]) -> Any:
    """The learning rates and hyperparameters, step by step, and the weights after the last."""
    inputs, labels = data()
    seen = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(inputs[part]), labels[part]).backward()
        optimizer.step()
        seen.append(rates())
    return seen, [w.detach().clone() for w in net.parameters()]


def rates_of(tower: Tower) -> Callable[[], list[float]]:
    def rates() -> list[float]:
        return [
            value
            for levels in tower.hyperparameters()
            for values in levels
            for value in values.values()
        ]

    return rates


def in_one_process(make: Callable[..., Tower]) -> Any:
    net = network()
    tower = make(net.parameters())
    return trained(net, tower, slice(None), rates_of(tower))


def work(rank: int, folder: Path) -> None:
    """What each of two processes does: every tower, with half of the data and of the weights."""
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES
    )
    results = {}
    for name, make in MAKES.items():
        net = DistributedDataParallel(network())

        class Made:
            """What ZeroRedundancyOptimizer makes, of the parameters that it deals to this one."""

            def __new__(cls, params: Any, **_: Any) -> Tower:  # type: ignore[misc]
                return make(params, reduced_over=distributed.group.WORLD)  # noqa: B023

        dealt = ZeroRedundancyOptimizer(net.parameters(), Made)  # type: ignore[arg-type]
        tower = dealt.optim
        half = slice(10 * rank, 10 * rank + 10)
        results[name] = trained(net, dealt, half, rates_of(tower))
        assert 0 < sum(len(group["params"]) for group in tower.param_groups) < 4
        with pytest.raises(SearcherError, match="cannot be copied: save state_dict"):
            copy.deepcopy(tower)
        tower.load_state_dict(copy.deepcopy(tower.state_dict()))
    results["nothing here"] = one_has_no_gradients(rank)
    torch.save(results, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def one_has_no_gradients(rank: int) -> list[float]:
    """The second process' weights have no gradient at first: it learns with the first."""
    weight = nn.Parameter(torch.ones(2))
    tower = SGDHD([weight], 0.1, 1e-2, reduced_over=distributed.group.WORLD)
    rates = []
    for step in range(3):
        weight.grad = weight.detach() / 2 if rank == 0 or step == 2 else None
        tower.step()
        rates.append(tower.param_groups[0]["lr"])
    return rates


@pytest.fixture(scope="module")
def dealt_out(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("processes")
    multiprocessing.spawn(work, (folder,), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt", weights_only=False) for rank in range(PROCESSES)]


@pytest.mark.slow
@pytest.mark.parametrize("name", MAKES)
def test_dealt_out_to_two_processes_it_goes_as_in_one(
    name: str, dealt_out: list[dict[str, Any]]
) -> None:
    rates, weights = in_one_process(MAKES[name])
    assert len({tuple(each) for each in rates}) == STEPS
    for result in dealt_out:
        seen, found = result[name]
        torch.testing.assert_close(torch.tensor(seen), torch.tensor(rates), rtol=1e-6, atol=1e-12)
        for one, other in zip(found, weights, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-12)


@pytest.mark.slow
def test_a_process_without_gradients_learns_with_the_others(
    dealt_out: list[dict[str, Any]],
) -> None:
    first, second = (result["nothing here"] for result in dealt_out)
    assert first == second
    assert len(set(first)) == 3


def test_distributed_tensors_are_refused() -> None:
    weight = nn.Parameter(torch.ones(2))
    weight.device_mesh = None  # type: ignore[attr-defined]  # as a DTensor has
    with pytest.raises(SearcherError, match="cannot move distributed tensors") as error:
        SGDHD([weight], 0.1)
    assert "\n" not in str(error.value)
