import io

import pytest
from fake_run import write_run
from rich.console import Console

from hpobench.report.terminal_table import summary_table
from hpobench.report.wording import (
    budget,
    configuration,
    listed,
    number,
    percent,
    plural,
    plus_minus,
    seconds,
)
from hpobench.results.run import Results


def shown(results, width=100):
    text = io.StringIO()
    Console(file=text, width=width).print(summary_table(results))
    return text.getvalue()


def test_the_table_fits_into_a_hundred_columns_and_cuts_nothing(tmp_path):
    names = ("bohb_published", "fds_published", "default_cosine", "random")
    folder = write_run(tmp_path, ("digits", "a_task_with_quite_a_long_name"), names, range(11))
    table = shown(Results.load(folder))
    assert "…" not in table
    assert max(map(len, table.splitlines())) <= 100
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
    assert "Not complete: fds: 1 missing; grid: 2 failed." in table
    assert "0 of 2" in table


def test_without_a_reference_the_table_shows_the_test_loss(tmp_path):
    table = shown(Results.load(write_run(tmp_path, without_reference=["digits"])))
    assert "no reference, so no regret" in table
    assert "final test loss" in table
    assert "final regret" not in table


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
    assert plural(1, "seed") == "1 seed"
    assert plural(2, "seed") == "2 seeds"
    assert [listed(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert budget({"kind": "steps", "amount": 5000}) == "5000 training steps"
    flat = {"lr_0": 0.1, "lr_1": 0.1, "w_0": 1, "w_1": 2, "kind": "adam", "on": True, "x_9": 0.5}
    assert configuration(flat) == "lr = 2 × 0.1, w = (1, 2), kind = adam, on = True, x_9 = 0.5"
