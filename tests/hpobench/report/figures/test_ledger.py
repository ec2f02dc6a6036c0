"""Where the slot-seconds went: what the figure shows."""

from __future__ import annotations

import numpy as np
import pytest

from hpobench.report.figures.ledger import ledger_data, ledger_plot
from hpobench.results.run import Results


def test_the_ledger_adds_up(one_task: Results) -> None:
    data = ledger_data(one_task)
    shares = data.groupby("searcher")["share"].sum()
    assert shares.to_numpy() == pytest.approx(np.ones(3), abs=1e-4)
    fds = data.query("searcher == 'fds'")
    assert dict(zip(fds["part"], fds["slot_seconds"], strict=True)) == {"search": 90, "train": 270}


def test_the_interactive_bars_are_those_of_the_data(one_task: Results) -> None:
    data = ledger_data(one_task)
    plot = ledger_plot(data).as_json()
    assert plot["rows"] == ("fds", "random", "bohb")
    assert [entry["name"] for entry in plot["legend"]] == ["search", "train"]
    assert [trace["meta"]["of"] for trace in plot["traces"]] == ["search", "train"]
    for trace in plot["traces"]:
        rows = data[data["part"] == trace["meta"]["of"]]
        assert list(trace["y"]) == rows["searcher"].tolist()
        assert list(trace["x"]) == (100 * rows["share"]).tolist()
        (other,) = trace["meta"]["variants"]
        assert other["when"] == {"bars": "slot_seconds"}
        assert other["trace"]["x"] == rows["slot_seconds"].tolist()
    assert plot["traces"][0]["text"][0] == (
        "<b>fds</b>, search: the searcher's thinking<br>25 %, 90 slot-seconds"
    )
