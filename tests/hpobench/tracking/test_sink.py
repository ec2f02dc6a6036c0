"""A sink that is not Weights & Biases: what the pipeline asks of one, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from hpobench import Results, Study, StudyError, pipeline
from hpobench.running import ray_backend
from hpobench.running.display import Silent
from hpobench.tracking.sink import Sink
from tests.hpobench.running.fake_slices import FakeCluster, FakeSlice, small_study


@dataclass(frozen=True)
class FileSink:
    """A line of JSON for each cell that has ended, in a file of its own."""

    file: Path

    def track(self, results: Results) -> None:
        cells = results.cells[results.cells["status"].isin(["complete", "failed"])]
        lines = [json.dumps([cell.cell, cell.status]) for cell in cells.itertuples()]
        self.file.write_text("\n".join(lines))


@pytest.fixture(autouse=True)
def without_ray_and_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def cluster(study: Study, address: str | None, source: Path | None) -> Iterator[FakeCluster]:
        yield FakeCluster([FakeSlice()])

    monkeypatch.setattr(ray_backend, "cluster", cluster)
    monkeypatch.setattr(pipeline, "publish", lambda results, clock: ())


def test_a_sink_gets_the_results_of_a_run_and_again_when_it_is_resumed(tmp_path: Path) -> None:
    sink: Sink = FileSink(tmp_path / "tracked.jsonl")
    study = small_study(seeds=2)
    pipeline.run(study, tmp_path / "run", wandb="off", display=Silent(), sinks=[sink])
    tracked = [json.loads(line) for line in (tmp_path / "tracked.jsonl").read_text().splitlines()]
    assert tracked == [[cell.name, "complete"] for cell in study.cells()]
    assert not (tmp_path / "run" / "wandb").exists()
    (tmp_path / "tracked.jsonl").unlink()
    pipeline.resume(tmp_path / "run", wandb="off", sinks=[sink])
    assert (tmp_path / "tracked.jsonl").exists()


@pytest.mark.slow
def test_weights_and_biases_is_a_sink_like_any_other(tmp_path: Path) -> None:
    sink = FileSink(tmp_path / "tracked.jsonl")
    pipeline.run(small_study(), tmp_path / "run", display=Silent(), sinks=[sink])
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*"))) == 1
    assert (tmp_path / "tracked.jsonl").exists()


def test_a_mode_that_there_is_not_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="wandb is offline, online or off, not 'on'"):
        pipeline.run(small_study(), tmp_path / "run", wandb="on")
    assert not (tmp_path / "run").exists()
