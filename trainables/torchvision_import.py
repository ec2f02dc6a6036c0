"""torchvision's data sets, also where its wheel was built for another torch.

The wheel on PyPI is built against a CUDA torch. Beside a CPU-only torch its compiled operators do
not load, and the import fails because two of them are not declared. The data sets need none of
them, so declaring the two is enough.
"""

from __future__ import annotations

from types import ModuleType

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_declarations: list[torch.library.Library] = []  # kept: they are withdrawn with the object


def torchvision_datasets() -> ModuleType:
    """The module `torchvision.datasets`; from then on ``import torchvision`` works as well."""
    try:
        from torchvision import datasets
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        # Only now: with a matching pair of wheels the declarations would clash.
        library = torch.library.Library("torchvision", "FRAGMENT")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}{_SCHEMA}")
        _declarations.append(library)
        from torchvision import datasets
    return datasets
