"""A slot's work, step by step, without Ray's actors."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from ray._raylet import raise_sys_exit_with_custom_error_message

from searchers.catalog import find_searcher
from searchers.inner_problem import Metrics
from searchers.protocols import Chain, Job
from trainables.task import Instance
from trainables.tasks import find_task
from trainables.trainable import SlotContext, SlotTrainable, Work, chain_work, job_work
from trainables.training_job import kept_weights

QUADRATIC = find_task("quadratic")


class Losses:
    """The quadratic with validation losses of the test's own."""

    def __init__(self, inner: Any, losses: Iterable[float]):
        self._inner, self._losses = inner, iter(losses)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def validation(self, weights: Any) -> Metrics:
        return Metrics(next(self._losses))


class Controller:
    """Hands out work in order, and keeps what it is told."""

    def __init__(self, *work: Work) -> None:
        self._work = iter(work)
        self.told: list[dict[str, Any]] = []

    def __call__(self, report: dict[str, Any]) -> Work | None:
        self.told.append(report)
        return next(self._work, None)


def slot(
    tmp_path: Path,
    searcher: str = "random",
    losses: Iterable[float] | None = None,
    controller: Controller | None = None,
) -> SlotTrainable:
    task = QUADRATIC
    if losses is not None:

        def build(seed, device):
            instance = QUADRATIC.build(seed, device)
            return Instance(Losses(instance.inner, losses), instance.test)

        task = dataclasses.replace(QUADRATIC, build=build)
    asked = controller or Controller()
    context = SlotContext(task, find_searcher(searcher), 0, 1, next_work=asked, scratch=tmp_path)
    made = SlotTrainable.__new__(SlotTrainable)  # without Ray's own construction
    made.begin(context, 3)
    return made


def job(training: int, epochs: int = 9) -> Work:
    configuration = QUADRATIC.space.flatten(QUADRATIC.initial[0])
    return job_work(Job(training, configuration, epochs))


def do(made: SlotTrainable, training: int, epochs: int = 9) -> dict[str, Any]:
    return made.work_on(job(training, epochs))


def test_a_slot_says_that_it_is_warm_and_works_until_it_is_handed_nothing(tmp_path: Path) -> None:
    controller = Controller(job(0), job(5, epochs=3))
    result = slot(tmp_path, controller=controller).step()
    assert result == {"done": True}
    warm, first, second = controller.told
    assert warm["warm"]
    assert warm["slot"]["pid"] == os.getpid()
    assert warm["slot"]["number"] == 3
    assert [(told["training"], told["budget"]) for told in (first, second)] == [(0, 9), (5, 3)]


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf, 1e9])
def test_what_is_no_loss_below_the_ceiling_is_a_divergence(loss: float, tmp_path: Path) -> None:
    report = do(slot(tmp_path, losses=[loss]), 0)
    assert report["status"] == "diverged"
    assert report["validation_loss"] == QUADRATIC.loss_ceiling
    assert not kept_weights(tmp_path, 0, 9).exists()


def test_weights_are_kept_for_every_possible_incumbent_and_no_other(tmp_path: Path) -> None:
    made = slot(tmp_path, losses=[5.0, 6.0, 4.0, 4.5, 3.0])
    for training, epochs in enumerate([9, 9, 3, 9, 9]):
        do(made, training, epochs)
    kept = {path.stem for path in (tmp_path / "weights").iterdir()}
    # 0: first; 2: model in hand; 3: incumbent, though 2 has a lower loss; 4: both
    assert kept == {"t0_e9", "t2_e3", "t3_e9", "t4_e9"}


def test_a_chain_reports_what_its_searcher_yields(tmp_path: Path) -> None:
    made = slot(tmp_path, "fds")
    reports = [made.work_on(chain_work(Chain(0, 2))) for _ in range(4)]
    brief = dataclasses.replace(QUADRATIC.brief(0, 1))
    problem = QUADRATIC.build(0, made._device).inner
    expected = islice(find_searcher("fds").search(problem, brief, Chain(0, 2)), 4)
    assert [r["validation_loss"] for r in reports] == [e.metrics.loss for e in expected]
    assert [r["training"] for r in reports] == [0, 2, 4, 6]
    assert set(reports[0]["parts"]) >= {"train", "validation", "search"}
    assert set(reports[1]["parts"]) >= {"hypergradient", "validation", "search"}


def test_an_exception_in_a_training_is_a_report(tmp_path: Path) -> None:
    made = slot(tmp_path, losses=[])
    report = do(made, 0)
    assert report["status"] == "failed"
    assert report["error"].startswith("StopIteration")
    assert report["validation_loss"] == QUADRATIC.loss_ceiling
    assert report["hyperparameters"] == QUADRATIC.space.flatten(QUADRATIC.initial[0])
    assert report["parts"]["lost"] > 0
    assert report["cause"] == "searcher error"


def test_a_training_that_leaves_has_failed(tmp_path: Path) -> None:
    def losses() -> Iterator[float]:
        sys.exit("enough")
        yield 1.0

    assert do(slot(tmp_path, losses=losses()), 0)["error"] == "SystemExit: enough"


def test_a_slot_that_is_told_to_end_ends(tmp_path: Path) -> None:
    """Ray's answer to SIGTERM, as a node sends it that is taken away: no failure of a training."""

    def losses() -> Iterator[float]:
        raise_sys_exit_with_custom_error_message("The process receives a SIGTERM.", exit_code=1)
        yield 1.0

    with pytest.raises(SystemExit):
        do(slot(tmp_path, losses=losses()), 0)


def test_a_lack_of_memory_is_told_from_other_failures(tmp_path: Path) -> None:
    def losses() -> Iterator[float]:
        raise MemoryError
        yield 1.0

    made = slot(tmp_path, losses=losses())
    assert do(made, 0)["cause"] == "out of memory"


def left_over(made: SlotTrainable, searcher: str) -> list[float]:
    """Of five reports, the seconds that a slot worked beside their parts."""
    left = []
    for number in range(5):
        work = job(number) if searcher == "random" else chain_work(Chain())
        report = made.work_on(work)
        began, ended = report["worked"]
        left.append(ended - began - sum(report["parts"].values()))
        assert min(report["parts"].values()) >= 0
    return left


@pytest.mark.parametrize("searcher", ["random", "fds", "rmd", "hd"])
def test_the_parts_of_a_report_are_the_time_that_its_slot_worked(
    searcher: str, tmp_path: Path
) -> None:
    """Each at one try of several: a busy machine may stop the process between two clocks."""
    least = [math.inf] * 5
    for attempt in range(20):
        left = left_over(slot(tmp_path / str(attempt), searcher), searcher)
        assert min(left) > -2e-4
        least = [min(pair) for pair in zip(least, left, strict=True)]
        if max(least) < 2e-4:
            return
    pytest.fail(f"beside their parts, reports took {least} s")


def test_a_slot_says_what_it_is(tmp_path: Path) -> None:
    slot_of = do(slot(tmp_path), 0)["slot"]
    assert slot_of["process"].endswith(f":{os.getpid()}")
    assert slot_of["gpus"] == []
    assert slot_of["gpu"] is None
    assert slot_of["memory"]["host"] > 50e6
    assert slot_of["memory"]["device"] is None


@dataclasses.dataclass(frozen=True)
class Odd:
    """A gradient-based searcher that yields what it is told to."""

    yields: tuple[Any, ...]
    name: str = "odd"

    def search(self, problem, brief, chain):
        for what, evaluation in zip(
            self.yields, find_searcher("rmd").search(problem, brief, chain), strict=False
        ):
            yield what(evaluation)


def odd_reports(tmp_path: Path, *yields: Any) -> list[dict[str, Any]]:
    made = slot(tmp_path, "rmd")
    made._context = dataclasses.replace(made._context, searcher=Odd(yields))
    return [made.work_on(chain_work(Chain())) for _ in range(len(yields) + 1)]


def test_notes_that_are_not_json_are_the_searchers_failure(tmp_path: Path) -> None:
    report, *_ = odd_reports(
        tmp_path, lambda evaluation: dataclasses.replace(evaluation, notes={"gain": math.nan})
    )
    assert "ValueError" in report["failed"]


def test_what_is_no_evaluation_is_the_searchers_failure(tmp_path: Path) -> None:
    report, *_ = odd_reports(tmp_path, lambda evaluation: None)
    assert "None, which is not an Evaluation" in report["failed"]


def test_a_chain_says_that_it_has_come_to_its_end(tmp_path: Path) -> None:
    first, last = odd_reports(tmp_path, lambda evaluation: evaluation)
    assert first["status"] == "ok"
    assert last["end"]
    assert last["parts"].keys() == {"search", "orchestration"}
