"""What a task is: settings that make no sense are refused when it is made."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from trainables import TaskError
from trainables.tasks import find_task

QUADRATIC = find_task("quadratic")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"loss_ceiling": math.inf}, "loss_ceiling, .* is a finite number, not inf"),
        ({"loss_ceiling": torch.tensor(math.nan)}, "loss_ceiling, .* not nan"),
        ({"loss_ceiling": "10"}, "loss_ceiling"),
        ({"loss_ceiling": True}, "loss_ceiling"),
        ({"budgets": (1, 2.5)}, "budgets are ascending epochs, whole numbers"),
        ({"budgets": (1, math.inf)}, "budgets are ascending epochs"),
        ({"budgets": (3, 1)}, "budgets are ascending epochs"),
        ({"budgets": ()}, "budgets are ascending epochs"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(TaskError, match=f"^quadratic: {line}") as caught:
        replace(QUADRATIC, **changes)
    assert "\n" not in str(caught.value)


def test_numbers_of_other_libraries_are_plain_ones() -> None:
    made = replace(
        QUADRATIC, budgets=np.array([1, 3]), loss_ceiling=torch.tensor(8.0, requires_grad=True)
    )
    assert repr((made.budgets, made.loss_ceiling)) == "((1, 3), 8.0)"
    assert repr(replace(QUADRATIC, budgets=[np.int64(2)]).budgets) == "(2,)"
