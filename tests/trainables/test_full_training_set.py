"""The full training set: training and validation data together, and nothing of the test's."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from searchers.inner_problem import InnerProblem
from trainables.images import Images, instance
from trainables.network import Examples, NetworkProblem, joined
from trainables.task import Instance, Task
from trainables.tasks.digits import DIGITS, _images
from trainables.tasks.synthetic import QUADRATIC
from trainables.testing import check_task

CPU = torch.device("cpu")


def on_all(made: Instance) -> NetworkProblem:
    assert made.full is not None
    full = made.full()
    assert isinstance(full, NetworkProblem)
    return full


def bag(inputs: Tensor) -> Counter[bytes]:
    return Counter(row.numpy().tobytes() for row in inputs)


def test_digits_trains_on_1400_that_are_not_the_test_s() -> None:
    made = DIGITS.build(3, CPU)
    full, part = on_all(made), made.inner
    assert isinstance(part, NetworkProblem)
    assert (len(full.train), full.steps_per_epoch, part.steps_per_epoch) == (1400, 43, 31)
    known = bag(part.train.inputs) + bag(part.validation_examples.inputs)
    assert bag(full.train.inputs) == known
    rest = bag(_images()[0]) - known
    assert sum(rest.values()) == 397  # what the test is drawn from
    other = DIGITS.build(4, CPU)
    assert bag(on_all(other).train.inputs) != known  # of every split its own


def test_its_examples_keep_their_labels() -> None:
    made = DIGITS.build(0, CPU)
    inputs, labels = _images()
    label = {row.numpy().tobytes(): int(y) for row, y in zip(inputs, labels, strict=True)}
    train = on_all(made).train
    found = [label[row.numpy().tobytes()] for row in train.inputs]
    assert found == train.labels.tolist()


def test_images_train_on_the_whole_training_part() -> None:
    stream = torch.Generator().manual_seed(0)
    train, test = (
        Examples(torch.rand(n, 1, 4, 4, generator=stream), torch.arange(n) % 2) for n in (50, 20)
    )
    images = Images(train, test, mean=(0.5,), deviation=(0.25,))
    made = [
        instance(
            images,
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(16, 2)),
            validation=10,
            batch_size=8,
            seed=seed,
            device=CPU,
        )
        for seed in (0, 1)
    ]
    whole = bag(images.standardised(train, CPU).inputs)
    assert [bag(on_all(each).train.inputs) for each in made] == [whole, whole]
    assert on_all(made[0]).steps_per_epoch == 6


def test_joined_examples_are_all_of_them() -> None:
    a, b = (Examples(torch.full((n, 2), float(n)), torch.full((n,), n)) for n in (3, 2))
    both = joined(a, b)
    assert both.labels.tolist() == [3, 3, 3, 2, 2]
    assert both.inputs[:, 0].tolist() == [3.0, 3.0, 3.0, 2.0, 2.0]


def test_a_task_that_holds_nothing_out_has_none() -> None:
    assert QUADRATIC.build(0, CPU).full is None


def test_a_task_with_another_build_does_not_keep_the_full_set_of_the_first() -> None:
    other = replace(DIGITS, build=QUADRATIC.build)
    assert other.build(0, CPU).full is None


@pytest.mark.parametrize(
    ("broken", "what"),
    [
        (lambda made: DIGITS.build(1, CPU).full(), "the initial weights differ on the full"),
        (lambda made: NetworkProblem(
            made.inner.make_model,
            Examples(made.inner.train.inputs[:64], made.inner.train.labels[:64]),
            made.inner.validation_examples,
            batch_size=32,
            seed=made.inner.seed,
            device=CPU,
        ), "2 steps an epoch on the full training set, 31 on its part"),
    ],
)  # fmt: skip
def test_the_contract_finds(broken, what: str) -> None:
    def build(seed: int, device: torch.device) -> Instance:
        made = DIGITS.build(seed, device)

        def full() -> InnerProblem:
            return broken(made)

        return replace(made, full=full)

    task: Task = replace(DIGITS, build=build)
    with pytest.raises(AssertionError, match=what):
        check_task(task)
