"""A network as an inner problem: the same training as a plain loop, and no trace of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from searchers.inner_problem import Buffers
from trainables.modules import seeded
from trainables.network import EVALUATION_BATCH, Examples, NetworkProblem
from trainables.rng import derive
from trainables.task import TaskError

CPU = torch.device("cpu")
LEARNING_RATE = 0.1


def net_with_batch_norm() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


def examples(count: int, seed: int) -> Examples:
    stream = torch.Generator().manual_seed(seed)
    inputs = 2 + 3 * torch.randn(count, 5, generator=stream)
    return Examples(inputs, torch.randint(3, (count,), generator=stream))


def problem(seed: int = 0, validation: int = 50, batch_size: int = 16) -> NetworkProblem:
    return NetworkProblem(
        net_with_batch_norm,
        examples(70, 1),
        examples(validation, 2),
        batch_size=batch_size,
        seed=seed,
        device=CPU,
    )


def step(inner: NetworkProblem, vector: Tensor, buffers: Buffers, batch: object) -> Tensor:
    leaf = vector.detach().requires_grad_()
    (slope,) = torch.autograd.grad(inner.training_loss(leaf, buffers, batch), leaf)  # type: ignore
    return vector - LEARNING_RATE * slope


def plain_training(inner: NetworkProblem, training: int, steps: int) -> nn.Module:
    """The same training with a module of its own and torch.optim."""
    module = seeded(net_with_batch_norm, derive(inner.seed, training, "weights"))
    optimizer = torch.optim.SGD(module.parameters(), lr=LEARNING_RATE)
    draw = inner.draw(training)
    module.train()
    for i in range(steps):
        inputs, labels, *_ = draw.batch(i)
        optimizer.zero_grad()
        cross_entropy(module(inputs), labels).backward()
        optimizer.step()
    return module.eval()


def test_training_matches_a_plain_loop_with_its_running_statistics() -> None:
    inner, steps = problem(), 11
    vector, buffers = inner.draw(3).initial()
    for i in range(steps):
        vector = step(inner, vector, buffers, inner.draw(3).batch(i))
    module = plain_training(inner, 3, steps)
    expected = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    torch.testing.assert_close(vector, expected)
    assert buffers["1.num_batches_tracked"] == steps
    for name, buffer in module.named_buffers():
        torch.testing.assert_close(buffers[name], buffer)


def test_evaluation_uses_the_running_statistics_it_is_given_and_keeps_them() -> None:
    inner = problem()
    module = plain_training(inner, 0, 7)
    vector = torch.cat([p.detach().reshape(-1) for p in module.parameters()])
    buffers = {name: buffer.clone() for name, buffer in module.named_buffers()}
    held_out = inner.validation_examples
    expected = cross_entropy(module(held_out.inputs), held_out.labels)
    torch.testing.assert_close(inner.validation_loss(vector, buffers), expected)
    for name, buffer in module.named_buffers():
        assert torch.equal(buffers[name], buffer)
    fresh = inner.draw(0).initial().buffers
    assert abs(inner.validation_loss(vector, fresh) - expected) > 1e-2


def test_interleaved_trainings_do_not_touch_each_other() -> None:
    def alone(training: int) -> tuple[Tensor, Buffers]:
        inner = problem()
        draw = inner.draw(training)
        vector, buffers = draw.initial()
        for i in range(6):
            vector = step(inner, vector, buffers, draw.batch(i))
        return vector, buffers

    shared = problem()
    draws = {training: shared.draw(training) for training in (0, 1)}
    states = {training: draw.initial() for training, draw in draws.items()}
    for i in range(6):
        for training, draw in draws.items():
            vector, buffers = states[training]
            states[training] = states[training]._replace(
                vector=step(shared, vector, buffers, draw.batch(i))
            )
            shared.validation(states[training])
    for training, (vector, buffers) in states.items():
        expected, expected_buffers = alone(training)
        assert torch.equal(vector, expected)
        assert all(torch.equal(buffers[name], expected_buffers[name]) for name in buffers)


def test_forgotten_buffers_are_an_error_not_those_of_another_training() -> None:
    inner = problem()
    vector = inner.draw(0).initial().vector
    with pytest.raises((RuntimeError, NotImplementedError)):
        inner.training_loss(vector, {}, inner.draw(0).batch(0)).item()


@pytest.mark.parametrize("count", [EVALUATION_BATCH, 2 * EVALUATION_BATCH + 1])
def test_validation_in_chunks_is_the_mean_over_the_split(count: int) -> None:
    inner = problem(validation=count)
    vector, buffers = inner.draw(0).initial()
    module = seeded(net_with_batch_norm, derive(0, 0, "weights")).eval()
    held_out = inner.validation_examples
    logits = module(held_out.inputs)
    expected = cross_entropy(logits, held_out.labels)
    slopes = torch.autograd.grad(expected, list(module.parameters()))
    leaf = vector.requires_grad_()
    loss = inner.validation_loss(leaf, buffers)
    torch.testing.assert_close(loss, expected)
    (slope,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(slope, torch.cat([part.reshape(-1) for part in slopes]))
    metrics = inner.validation(inner.draw(0).initial())
    assert metrics.loss == pytest.approx(expected.item(), rel=1e-5)
    assert metrics.accuracy == pytest.approx(
        (logits.argmax(1) == held_out.labels).double().mean().item()
    )


def test_an_epoch_reads_each_example_at_most_once_and_leaves_the_last_part_out() -> None:
    inner = problem(batch_size=16)
    assert inner.steps_per_epoch == 70 // 16
    draw = inner.draw(0)
    epochs = []
    for epoch in range(2):
        steps = range(epoch * 4, epoch * 4 + 4)
        rows = torch.cat([draw.batch(i)[0] for i in steps])
        assert len(rows.unique(dim=0)) == 64
        epochs.append(rows)
    assert not torch.equal(*epochs)


def test_labels_stay_with_their_inputs() -> None:
    inner = problem()
    inputs, labels, *_ = inner.draw(5).batch(2)
    for row, label in zip(inputs, labels, strict=True):
        (place,) = (inner.train.inputs == row).all(1).nonzero().reshape(-1)
        assert inner.train.labels[place] == label


def test_global_random_state_neither_matters_nor_moves() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = problem().draw(0)
    weights, batch = first.initial(), first.batch(0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = problem().draw(0)
    assert torch.equal(again.initial().vector, weights.vector)
    assert torch.equal(again.batch(0)[0], batch[0])


def test_fewer_examples_than_a_batch_are_refused() -> None:
    with pytest.raises(TaskError, match="70 training examples do not fill one batch of 71"):
        problem(batch_size=71)
