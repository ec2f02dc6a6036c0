"""Small problems on machines shared with others."""

from __future__ import annotations

import torch
from hypothesis import settings

torch.set_num_threads(1)  # more threads only wait for each other
settings.register_profile("shared", deadline=None)  # a first call loads libraries
settings.load_profile("shared")
