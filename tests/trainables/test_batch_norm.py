"""Batch normalisation is torch's own, down to its second derivative."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from trainables.batch_norm import patch_batch_norm

MODULES = [
    (nn.BatchNorm1d(4), (9, 4)),
    (nn.BatchNorm1d(3), (5, 3, 6)),
    (nn.BatchNorm2d(3), (4, 3, 5, 2)),
    (nn.BatchNorm3d(2), (3, 2, 2, 3, 2)),
]


def pair(module: nn.Module) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    plain = deepcopy(module).double()
    for parameter in plain.parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return plain, patch_batch_norm(deepcopy(plain))


def curvature(module: nn.Module, inputs: Tensor) -> list[Tensor]:
    """Output, gradients, Hessian-vector products by inputs and parameters, running statistics."""
    stream = torch.Generator().manual_seed(1)
    leaves = [inputs.clone().requires_grad_(), *module.parameters()]
    output = module(leaves[0])
    loss = (output.sin() * torch.arange(output.numel()).view(output.shape).cos()).sum()
    slopes = torch.autograd.grad(loss, leaves, create_graph=True)
    directions = [torch.randn(s.shape, generator=stream, dtype=s.dtype) for s in slopes]
    products = torch.autograd.grad(slopes, leaves, directions)
    return [output.detach(), *(s.detach() for s in slopes), *products, *module.buffers()]


@pytest.mark.parametrize(("module", "shape"), MODULES)
def test_second_derivatives_are_torchs(module: nn.Module, shape: tuple[int, ...]) -> None:
    plain, ours = pair(module)
    inputs = 2 + 3 * torch.randn(shape, dtype=torch.float64)
    expected, found = curvature(plain, inputs), curvature(ours, inputs)
    count = 1 + 1 + len(list(plain.parameters()))
    for want, got in zip(expected[:count], found[:count], strict=True):
        assert torch.equal(want, got)  # values and gradients: the same kernels
    for want, got in zip(expected[count:], found[count:], strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize(
    "module",
    [
        nn.BatchNorm2d(3, affine=False),
        nn.BatchNorm2d(3, momentum=None),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.BatchNorm2d(3).eval(),
    ],
)
def test_other_settings_too(module: nn.Module) -> None:
    plain, ours = pair(module)
    inputs = torch.randn(4, 3, 2, 2, dtype=torch.float64)
    for want, got in zip(curvature(plain, inputs), curvature(ours, inputs), strict=True):
        torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-11)


def test_a_wrong_shape_is_still_refused() -> None:
    with pytest.raises(ValueError, match="4D"):
        patch_batch_norm(nn.BatchNorm2d(3))(torch.zeros(2, 3))
