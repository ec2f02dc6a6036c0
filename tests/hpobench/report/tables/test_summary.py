import io

import pytest
from rich.console import Console

from hpobench.report.tables.reference_error import reference_error
from hpobench.report.tables.summary import summary_table
from hpobench.results.run import Results
from hpobench.text import (
    budget,
    configuration,
    listed,
    memory,
    number,
    pairs,
    percent,
    plain,
    plural,
    plus_minus,
    seconds,
    thousands,
)
from tests.hpobench.fake_run import Point, write_cell, write_run, write_study, write_yardsticks


def shown(results, clock="seconds"):
    text = io.StringIO()
    Console(file=text, width=80).print(summary_table(results, clock))
    return text.getvalue()


def test_the_table_fits_into_eighty_columns_and_cuts_nothing(tmp_path):
    names = ("bohb_published", "fds_published", "default_cosine", "random")
    folder = write_run(tmp_path, ("digits", "a_task_with_quite_a_long_name"), names, range(11))
    table = shown(Results.load(folder))
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80
    assert all(name in table for name in names)
    assert "s to 10 %" in table
    assert "a_task_with_quite_a_long_name" in table


def test_the_best_is_first_and_the_absent_are_said(tmp_path):
    folder = write_run(
        tmp_path,
        searchers=("random", "fds", "grid"),
        missing=["digits__fds__s0"],
        failed=["digits__grid__s0", "digits__grid__s1"],
    )
    results = Results.load(folder)
    table = shown(results)
    places = [table.index(f"\n {name} ") for name in results.summary()["searcher"]]
    assert places == sorted(places)
    assert "Not complete: fds: 1 missing; grid: 2 failed (searcher error)." in table
    assert "0 of 2" in table


def test_without_a_reference_the_table_shows_the_test_loss(tmp_path):
    table = shown(Results.load(write_run(tmp_path, without_reference=["digits"])))
    assert "no reference, so no regret" in table
    assert "final test loss" in table
    assert "final regret" not in table


def test_a_row_that_still_holds_the_default_says_so(tmp_path):
    searchers = ("untrained", "partly", "diverging", "trained")
    write_study(tmp_path, searchers=searchers, seeds=(0, 1))
    for seed in (0, 1):
        write_yardsticks(tmp_path, "digits", seed)
        part, full = Point(1.0, 0.2, 0.2, full=False), Point(2.0, 0.2, 0.2)
        bad = Point(2.0, 10.0, 10.0, status="diverged")
        write_cell(tmp_path, "digits", "untrained", seed, [part])
        write_cell(tmp_path, "digits", "partly", seed, [part, full] if seed else [])
        write_cell(tmp_path, "digits", "diverging", seed, [bad])
        write_cell(tmp_path, "digits", "trained", seed, [full])
    results = Results.load(tmp_path)
    rows = results.summary().set_index("searcher")
    held = rows[["seeds_at_default", "seeds_untrained"]]
    assert held.loc[list(searchers)].to_numpy().tolist() == [[2, 2], [1, 1], [2, 0], [0, 0]]
    table = shown(results)
    words = " ".join(table.split())
    for row in ("untrained", "diverging", "partly"):
        assert f" {row} " in table
    assert "the default: nothing trained in full" in words
    assert "the default: no full training succeeded" in words
    assert "the default for 1 of 2 seeds: nothing trained in full" in words
    assert words.count("the default") == 3 + 2  # and in the notes under the table


def test_the_headings_are_explained(tmp_path):
    table = shown(Results.load(write_run(tmp_path)))
    *_, times, zero, others = table.rstrip().splitlines()
    assert "s to 10 %: seconds to" in times
    assert "to ref.+s.e.: to the reference's level plus its standard error, which may" in zero
    assert "be looser than 10 %; in brackets: seeds, – (0): none" in others


def test_how_strict_the_references_error_is_stands_under_each_table(tmp_path):
    results = Results.load(
        write_run(tmp_path, ("digits", "spirals"), without_reference=["spirals"])
    )
    words = " ".join(shown(results).split())
    assert words.count("ref.+s.e.: a regret of") == 1
    assert reference_error(results, "digits") in words


@pytest.mark.parametrize(
    ("clock", "heading", "meaning", "times"),
    [
        ("seconds", "s to 10 %", "seconds to 10 %", ["6 (1)", "6 (1)", "6 (1)"]),
        ("slot_seconds", "slot-s to slot-s to", "slot-seconds to 10 %", ["12 (1)"] * 3),
        ("steps", "steps to steps to", "training steps to 10 %", ["12.5k (1)"] * 3),
    ],
)
def test_times_and_headings_are_those_of_the_clock(tmp_path, clock, heading, meaning, times):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", "fds", 0, [Point(6.0, 0.1, 0.1)], slot_seconds=12, steps=12500)
    table = shown(Results.load(tmp_path), clock)
    lines = [" ".join(line.split()) for line in table.splitlines()]
    assert any(heading in line for line in lines)
    assert f": {meaning} of the default's regret;" in " ".join(lines)
    (fds,) = [line for line in lines if line.startswith("fds")]
    assert " ".join(times) in fds


@pytest.mark.parametrize("clock", ["slot_seconds", "steps"])
def test_no_clock_takes_more_than_eighty_columns_or_is_cut(tmp_path, clock):
    names = ("bohb_published", "default_cosine", "fds")
    table = shown(Results.load(write_run(tmp_path, searchers=names, seeds=range(11))), clock)
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 80
    assert "(0): none" in table.splitlines()[-1]


def test_causes_of_cells_that_are_not_complete(tmp_path):
    write_study(tmp_path, searchers=("a", "b", "c"), seeds=range(4))
    for seed, cause in enumerate(["searcher error", "diverged", "searcher error"]):
        write_cell(tmp_path, "digits", "a", seed, status="failed", cause=cause)
    write_cell(tmp_path, "digits", "a", 3, status="interrupted", cause="user interrupt")
    write_cell(tmp_path, "digits", "b", 0, status="failed", why="before causes had kinds")
    write_cell(tmp_path, "digits", "b", 1, status="failed", cause="diverged")
    words = " ".join(shown(Results.load(tmp_path)).split())
    assert "a: 3 failed (2 searcher error, 1 diverged), 1 interrupted (user interrupt);" in words
    assert "b: 2 failed (1 cause not recorded, 1 diverged), 2 missing; c: 4 missing." in words


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.012345, "0.0123"),
        (-0.5, "−0.5"),
        (0.0, "0"),
        (1234.5, "1234"),
        (0.00001234, "1.23e−05"),
        (float("nan"), "–"),
    ],
)
def test_numbers(value, text):
    assert number(value) == text


def test_a_mean_is_written_to_its_errors_second_digit():
    assert plus_minus(0.012345, 0.0021) == "0.0123 ± 0.0021"
    assert plus_minus(-1.5, 0.25) == "−1.50 ± 0.25"
    assert plus_minus(0.012345, float("nan")) == "0.0123"
    assert plus_minus(float("nan"), 0.1) == "–"
    assert plus_minus(123.4, 56.7) == "123 ± 57"


def test_words():
    shares = [percent(x) for x in (0.25, 1.0, 0.0123, 0.0996, 0.0, 1e-5, float("nan"))]
    assert shares == ["25 %", "100 %", "1.2 %", "10 %", "0.0 %", "< 0.1 %", "–"]
    times = [seconds(x) for x in (0.0631, 0.0, 12.345, 86400, float("nan"))]
    assert times == ["0.06", "0", "12.3", "86400", "–"]
    assert [percent(x) for x in (-0.029, -0.25, -1e-5)] == ["−2.9 %", "−25 %", "< 0.1 %"]
    counts = [thousands(x) for x in (0, 7, 999, 999.6, 12345, 1.5e6, 2e9, float("nan"))]
    assert counts == ["0", "7", "999", "1k", "12.3k", "1.5M", "2G", "–"]
    sizes = [memory(x * 2**20) for x in (0.5, 600, 999, 1000, 1536, 80 * 1024, float("nan"))]
    assert sizes == ["0.5 MiB", "600 MiB", "999 MiB", "0.977 GiB", "1.5 GiB", "80 GiB", "–"]
    assert plural(1, "seed") == "1 seed"
    assert plural(2, "seed") == "2 seeds"
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert budget({"kind": "steps", "amount": 5000}) == "5000 training steps"
    assert budget({"kind": "evaluations", "amount": 1}) == "1 evaluation"
    assert plain("every ``horizon`` steps of `HD`, each") == "every horizon steps of HD, each"
    assert pairs({"cores": 2, "gpu": None, "machine": "a b"}) == "cores 2, machine a b"
    flat = {"lr_0": 0.1, "lr_1": 0.1, "w_0": 1, "w_1": 2, "kind": "adam", "on": True, "x_9": 0.5}
    assert configuration(flat) == "lr = 2 × 0.1, w = (1, 2), kind = adam, on = True, x_9 = 0.5"
