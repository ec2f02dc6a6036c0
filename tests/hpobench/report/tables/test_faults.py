"""What the page says of faults, of peak memory, and of what the cells ran on."""

import re
from typing import get_args

import pytest

from hpobench.report.hardware import hardware_note, places, sharing_note
from hpobench.report.page.document import render_report
from hpobench.report.tables.faults import MEANING as CAUSES
from hpobench.report.tables.faults import disturbances, fault_table, what_happened
from hpobench.report.tables.ledger import MEANING as PARTS_IN_WORDS
from hpobench.results.json_files import read_json, write_json
from hpobench.results.run import Results
from hpobench.results.schema import PARTS
from hpobench.running.faults import Cause
from tests.hpobench.fake_run import (
    OTHER_PLACE,
    PLACE,
    Point,
    write_cell,
    write_disturbed_run,
    write_run,
    write_study,
)
from tests.hpobench.report.page.test_page import Page

pytestmark = pytest.mark.usefixtures("one_kind_of_figure")


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    return Results.load(write_disturbed_run(tmp_path_factory.mktemp("disturbed")))


@pytest.fixture(scope="module")
def disturbed_page(disturbed):
    return Page(render_report(disturbed))


def test_what_went_wrong_is_counted_by_searcher_and_cause(disturbed):
    assert disturbances(disturbed) == {
        "random": {
            "void attempts": {"worker lost": 1, "node lost": 1},
            "interruptions": {"user interrupt": 1},
        },
        "hyperband": {"void attempts": {"worker lost": 1, "node lost": 1, "out of memory": 1}},
        "bohb": {
            "failed cells": {"searcher error": 1},
            "failed evaluations": {"out of memory": 2, "searcher error": 2},
        },
    }


def test_the_page_says_what_went_wrong_and_what_it_means(disturbed_page):
    words = disturbed_page.words
    section = words[words.index("What went wrong") : words.index("What every searcher was given")]
    assert "searcher void attempts failed cells failed evaluations interruptions" in section
    assert "random 1 × worker lost 1 × node lost none none 1 × user interrupt" in section
    assert "bohb none 1 × searcher error 2 × out of memory 2 × searcher error none" in section
    assert "fds" not in section
    assert "its cell is run again, at most twice" in section
    for cause in ("worker lost", "node lost", "out of memory", "searcher error", "user interrupt"):
        assert f"{cause} {CAUSES[cause]}" in section
    assert CAUSES["driver lost"] not in section
    assert "nan" not in words.lower().split()


def test_nothing_is_said_when_nothing_went_wrong(tmp_path):
    results = Results.load(write_run(tmp_path, missing=["digits__fds__s0"]))
    assert fault_table(results) is None
    words = Page(render_report(results)).words
    assert "What went wrong" not in words
    assert "void" not in words


def test_only_what_happened_has_a_column(tmp_path):
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0,))
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 9.0, None, status="failed")])
    table = fault_table(Results.load(tmp_path))
    assert table["columns"] == ["failed evaluations"]
    assert table["rows"] == [{"searcher": "fds", "values": [["1 × searcher error"]]}]
    assert "void" not in table["explained"].lower()


def test_every_cause_and_every_part_is_in_words():
    assert set(CAUSES) == set(get_args(Cause))
    assert set(PARTS_IN_WORDS) == set(PARTS)


def test_a_cell_tells_its_cause_why_and_its_earlier_attempts(disturbed, disturbed_page):
    cells = {cell["cell"]: cell for cell in disturbed.cells.to_dict("records")}
    assert what_happened(cells["digits__fds__s0"]) == []
    assert what_happened(cells["digits__random__s0"]) == [
        "attempt 1 void, worker lost: the process of slot 0 died",
        "attempt 2 void, node lost: node-b is gone",
    ]
    assert what_happened(cells["digits__random__s1"]) == ["attempt 1 interrupted, user interrupt"]
    assert what_happened(cells["digits__hyperband__s0"])[-1] == (
        "out of memory: void 3 times: the process of slot 0 was killed for memory"
    )
    assert what_happened(cells["digits__bohb__s1"]) == [
        "searcher error: ValueError: the surrogate's covariance is not positive definite"
    ]
    words = disturbed_page.words
    assert "✗ failed searcher error: ValueError: the surrogate's covariance is not" in words


def test_a_cell_without_a_cause_says_why():
    cell = {"attempts": [], "cause": None, "why": "its folder has no cell.json"}
    assert what_happened(cell) == ["its folder has no cell.json"]


def test_peak_memory_of_a_slot(disturbed_page):
    words = disturbed_page.words
    summary = words[words.index("Summary") : words.index("Where the time went")]
    assert "peak memory of a slot" in summary
    assert "3 GiB GPU 1.25 GiB" in summary
    assert summary.count("GPU") == 1
    assert summary.count("600 MiB") == 3


def test_memory_that_was_not_recorded_is_a_dash(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)])
    words = Page(render_report(Results.load(tmp_path))).words
    assert re.search(
        r"thinking framework peak memory of a slot fds [^A-Z]* 25 % 0.0 % – Where the time", words
    )


def test_different_hardware_is_noted_with_whose_cells(disturbed, disturbed_page):
    note = (
        "Cells of digits ran on different hardware, and times across hardware do not compare"
        " fairly: on an invented processor: fds (1 cell), random (2 cells), hyperband (2 cells)"
        " and bohb (1 cell); on another invented processor with an invented GPU: fds (1 cell)"
        " and bohb (1 cell)."
    )
    assert hardware_note(disturbed, "digits") == [note]
    assert note in disturbed_page.words


def test_the_same_hardware_on_two_nodes_is_not_noted(tmp_path):
    write_study(tmp_path, searchers=("fds", "random", "grid"), seeds=(0,))
    elsewhere = PLACE | {"node": "node-b", "name": "slice 1"}
    write_cell(tmp_path, "digits", "fds", 0, place=PLACE)
    write_cell(tmp_path, "digits", "random", 0, place=elsewhere)
    write_cell(tmp_path, "digits", "grid", 0)
    results = Results.load(tmp_path)
    assert hardware_note(results, "digits") == []
    where = dict(zip(results.cells["searcher"], places(results), strict=True))
    assert where == {"fds": ["node-a", "slice 0"], "random": ["node-b", "slice 1"], "grid": []}


@pytest.mark.parametrize(("other", "shown"), [({}, None), ({"name": "slice 1"}, "slice 1")])
def test_on_one_node_only_several_slices_are_named(tmp_path, other, shown):
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0,))
    write_cell(tmp_path, "digits", "fds", 0, place=PLACE)
    write_cell(tmp_path, "digits", "random", 0, place=PLACE | other)
    results = Results.load(tmp_path)
    found = places(results)
    assert (found is None) == (shown is None)
    words = Page(render_report(results)).words
    assert ("ran on" in words) == (shown is not None)  # the timeline names slices anyway
    assert "node-a" not in words
    assert hardware_note(results, "digits") == []


def test_a_gpu_alone_makes_the_hardware_different(tmp_path):
    write_study(tmp_path, searchers=("fds", "random"), seeds=(0,))
    write_cell(tmp_path, "digits", "fds", 0, place=PLACE)
    write_cell(tmp_path, "digits", "random", 0, place=PLACE | {"gpu": OTHER_PLACE["gpu"]})
    (note,) = hardware_note(Results.load(tmp_path), "digits")
    assert "on an invented processor with an invented GPU: random (1 cell)." in note


def test_cells_without_cores_of_their_own_are_noted(tmp_path):
    folder = write_run(tmp_path)
    results = Results.load(folder)
    assert sharing_note(results, "digits") == []
    file = folder / "cells/digits__fds__s0/cell.json"
    cell = read_json(file)
    write_json(file, cell | {"slice": {**cell["slice"], "cores": []}})
    assert sharing_note(Results.load(folder), "digits") == [
        "Cells of digits without cores of their own, which may have had to wait for what else the"
        " machine did: fds (1 cell)."
    ]
