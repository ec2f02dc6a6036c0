"""The summary for a paper."""

import re

from hpobench.report.tables.latex import latex_tables
from hpobench.report.tables.reference_error import reference_error
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run

SPECIAL = "a_b&c%d#e{f}g~h^i\\j$"


def test_each_task_has_a_table_with_the_best_first(tmp_path):
    results = Results.load(write_run(tmp_path, tasks=("digits", "fashion_mnist"), seeds=range(5)))
    text = latex_tables(results)
    assert text.startswith("% \\usepackage{booktabs}\n\\begin{table}\n")
    assert text.count("\\toprule") == text.count("\\bottomrule") == 2
    assert "\\caption{fashion\\_mnist: 60 seconds a cell, 5 seeds. Regret in test" in text
    summary = results.summary().query("task == 'digits'")
    rows = re.findall(r"^(\w+) & \$(-?[\d.]+) \\pm ([\d.]+)\$ &", text, re.M)[: len(summary)]
    assert [row[0] for row in rows] == summary["searcher"].tolist()
    for (_, mean, error), found in zip(rows, summary.to_dict("records"), strict=True):
        assert abs(float(mean) - found["final_regret"]) < 0.1 * found["final_regret_se"]
        assert abs(float(error) / found["final_regret_se"] - 1) < 0.1


def test_every_row_has_as_many_cells_as_the_head(tmp_path):
    results = Results.load(
        write_run(tmp_path, searchers=("fds", SPECIAL), without_reference=["digits"])
    )
    text = latex_tables(results)
    body = text[text.index("\\toprule") : text.index("\\bottomrule")].splitlines()
    rows = [line for line in body if line.endswith("\\\\")]
    assert len(rows) == 3
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {3}


def test_latex_takes_no_name_for_a_command(tmp_path):
    text = latex_tables(Results.load(write_run(tmp_path, searchers=(SPECIAL,))))
    expected = (
        "a\\_b\\&c\\%d\\#e\\{f\\}g\\textasciitilde{}h\\textasciicircum{}i\\textbackslash{}j\\$"
    )
    assert expected in text


def test_times_to_a_target_are_over_the_clock(tmp_path):
    results = Results.load(write_run(tmp_path))
    assert "& s to 10 \\% &" in latex_tables(results)
    assert "& steps to 10 \\% &" in latex_tables(results, "steps")


def test_the_caption_says_how_strict_the_references_error_is(tmp_path):
    results = Results.load(
        write_run(tmp_path, ("digits", "spirals"), without_reference=["spirals"])
    )
    text = latex_tables(results)
    said = reference_error(results, "digits").replace("%", "\\%")
    assert f"evaluations are a cell's. {said}}}" in text
    assert text.count("evaluations are a cell's.}") == 1  # of the one without a reference
    assert "& s to ref.+s.e. &" in text
