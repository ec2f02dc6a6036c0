"""The most memory that a slot needed: what the figure shows."""

from __future__ import annotations

from pathlib import Path

from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures.memory import MIB, memory_data, memory_plot
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_cell, write_study
from tests.hpobench.report.figures.text_boxes import black_boxes


def test_memory_has_each_cell_by_searcher(one_task: Results) -> None:
    data = memory_data(one_task)
    assert data["searcher"].tolist() == [s for s in one_task.searchers for _ in range(6)]
    assert set(data["host_mib"]) == {600}
    assert data["device_mib"].isna().all()


def test_the_interactive_bars_are_the_most_of_the_cells_on_the_host_and_on_a_gpu(
    tmp_path: Path,
) -> None:
    write_study(tmp_path, searchers=("fds", "random", "none"))
    for searcher, seed, host, device in (
        *(("fds", 0, 300, 50), ("fds", 1, 200, 80)),
        *(("random", 0, 100, None), ("random", 1, 150, None)),
    ):
        used = {"host": host * MIB, "device": None if device is None else device * MIB}
        write_cell(tmp_path, "digits", searcher, seed, memory=used)
    plot = memory_plot(
        memory_data(Results.load(tmp_path)), black_boxes("fds", "random", "none")
    ).as_json()
    shown = [
        (trace["type"], trace["meta"]["of"], trace["meta"]["when"]["where"], list(trace["x"]))
        for trace in plot["traces"]
    ]
    assert shown == [
        ("bar", "fds", "host_mib", [300]),
        ("scatter", "fds", "host_mib", [300, 200]),
        ("bar", "fds", "device_mib", [80]),
        ("scatter", "fds", "device_mib", [50, 80]),
        ("bar", "random", "host_mib", [150]),
        ("scatter", "random", "host_mib", [100, 150]),
    ]
    assert all(set(trace["y"]) == {trace["meta"]["of"]} for trace in plot["traces"])
    assert [entry["drawn"] for entry in plot["legend"]] == [True, True, False]
    (control,) = plot["controls"]
    assert control["chosen"] == "host_mib"


def test_without_a_gpu_there_is_no_choice(one_task: Results) -> None:
    assert (
        memory_plot(memory_data(one_task), FigureSource(one_task).looks).as_json()["controls"] == []
    )
