"""The networks of the image tasks.

Each is a function of the images' shape (channels, height, width) and the number of classes, and
maps inputs (n, channels, height, width) to logits (n, classes). Built from torch's global random
state, as modules are.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import relu

Shape = tuple[int, int, int]


def logistic_regression(shape: Shape, classes: int) -> nn.Module:
    """One linear layer."""
    channels, height, width = shape
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * width, classes))


def mlp(shape: Shape, classes: int) -> nn.Module:
    """Two hidden layers of 64: for images too small to pool."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(channels * height * width, 64),
        nn.ReLU(),
        nn.Linear(64, 64),
        nn.ReLU(),
        nn.Linear(64, classes),
    )


def lenet(shape: Shape, classes: int) -> nn.Module:
    """LeNet-5 (LeCun et al. 1998) with ReLU and max pooling; 61,706 weights on MNIST."""
    channels, height, width = shape
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * ((height // 2 - 4) // 2) * ((width // 2 - 4) // 2), 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, classes),
    )


def small_cnn(shape: Shape, classes: int) -> nn.Module:
    """Three convolutions of 16, 32 and 32 channels and one linear layer; images of any size."""
    channels, _, _ = shape
    return nn.Sequential(
        nn.Conv2d(channels, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, classes),
    )


class _ResidualBlock(nn.Module):
    """Batch normalisation and ReLU before each of two convolutions (He et al. 2016b)."""

    def __init__(self, wide_in: int, wide_out: int, stride: int):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(wide_in)
        self.conv1 = nn.Conv2d(wide_in, wide_out, 3, stride, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(wide_out)
        self.conv2 = nn.Conv2d(wide_out, wide_out, 3, padding=1, bias=False)
        same = wide_in == wide_out and stride == 1
        self.shortcut = None if same else nn.Conv2d(wide_in, wide_out, 1, stride, bias=False)

    def forward(self, inputs: Tensor) -> Tensor:
        active = relu(self.norm1(inputs))
        outputs = self.conv2(relu(self.norm2(self.conv1(active))))
        return outputs + (inputs if self.shortcut is None else self.shortcut(active))


def wide_resnet(shape: Shape, classes: int, *, depth: int, widen: int) -> nn.Module:
    """WRN-depth-widen (Zagoruyko & Komodakis 2016), without dropout.

    Args:
        shape: of an image.
        classes: how many there are.
        depth: layers, 6n + 4.
        widen: by how much it is wider than a plain ResNet.
    """
    blocks, rest = divmod(depth - 4, 6)
    if rest or blocks < 1:
        raise ValueError(f"a wide ResNet's depth is 6n + 4 (10, 16, 22, …), not {depth}")
    layers: list[nn.Module] = [nn.Conv2d(shape[0], 16, 3, padding=1, bias=False)]
    wide_in = 16
    for group, wide_out in enumerate((16 * widen, 32 * widen, 64 * widen)):
        for block in range(blocks):
            stride = 2 if group > 0 and block == 0 else 1
            layers.append(_ResidualBlock(wide_in, wide_out, stride))
            wide_in = wide_out
    layers += [nn.BatchNorm2d(wide_in), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(wide_in, classes))
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model


def wrn_16_1(shape: Shape, classes: int) -> nn.Module:
    """The smallest of the usual wide ResNets: sixteen layers, no wider than a plain one."""
    return wide_resnet(shape, classes, depth=16, widen=1)
