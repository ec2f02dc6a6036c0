"""The summary as a table for a paper: `table.tex`, which needs LaTeX's package booktabs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from hpobench.report.clocks import CLOCKS
from hpobench.report.tables.reference_error import NAME, reference_error
from hpobench.report.tables.summary import reached
from hpobench.results.targets import TARGET_WORDS
from hpobench.text import UNKNOWN, budget, number, plural, plus_minus

if TYPE_CHECKING:
    from hpobench.results.regret import Clock
    from hpobench.results.run import Results

HEAD = "% \\usepackage{booktabs}"


def latex_tables(results: Results, clock: Clock = "seconds") -> str:
    """A table for each task, the best searcher first; times to a target are over ``clock``."""
    return "\n".join([HEAD, *(_table(results, task, clock) for task in results.tasks)])


def _table(results: Results, task: str, clock: Clock) -> str:
    summary = results.summary(clock)
    measured = results.references[task] is not None
    records = summary[summary["task"] == task].to_dict("records")
    rows = pd.DataFrame([_row(row, measured, clock) for row in records])
    rows.insert(0, "searcher", [_escaped(row["searcher"]) for row in records])
    columns = "l" + "r" * (len(rows.columns) - 1)
    text: str = (
        rows.style.hide(axis="index")
        .relabel_index([_escaped(name) for name in rows.columns], axis="columns")
        .to_latex(
            column_format=columns,
            hrules=True,
            position_float="centering",
            caption=_caption(results, task, measured),
            label=f"tab:{task}",
        )
    )
    return text.replace("\\centering\n", "\\centering\n\\footnotesize\n", 1)  # fits into a column


def _row(row: dict[Any, Any], measured: bool, clock: Clock) -> dict[str, str]:
    cells = f"{row['seeds_complete']} of {row['seeds_planned']}"
    if not measured:
        loss = {"final test loss": _maths(number(row["final_test_loss"]))}
        return loss | {"evaluations": _dashed(number(row["evaluations"])), "cells": cells}
    short = CLOCKS[clock].short
    return {
        "final regret": _maths(plus_minus(row["final_regret"], row["final_regret_se"])),
        **{
            f"{short} to {words}": _dashed(reached(row, target, clock))
            for target, words in TARGET_WORDS.items()
        },
        "evaluations": _dashed(number(row["evaluations"])),
        "cells": cells,
    }


def _caption(results: Results, task: str, measured: bool) -> str:
    study = results.study
    metric, given = results.task(task)["metric"], budget(study["budget"])
    seeds = plural(len(study["seeds"]), "seed")
    what = (
        f"Regret in test {metric}, mean ± standard error over the complete seeds, and the time by"
        " which half of the seeds had come to a target to stay (in brackets: how many did): a share"
        f" of the default's regret, or the reference's level plus its standard error ({NAME})"
        if measured
        else f"Test {metric}, mean over the complete seeds"
    )
    told = f"{task}: {given} a cell, {seeds}. {what}; evaluations are a cell's."
    error = reference_error(results, task)
    return _escaped(f"{told} {error}".rstrip())


def _maths(text: str) -> str:
    """A number, with or without its error."""
    return _dashed(text) if text == UNKNOWN else f"${text.replace('−', '-').replace('±', _PM)}$"


_PM = "\\pm"


def _dashed(text: str) -> str:
    return text.replace(UNKNOWN, "--")


def _escaped(text: str) -> str:
    """Text in which LaTeX sees no commands."""
    return "".join(SPECIAL.get(sign, sign) for sign in text)


SPECIAL = {
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "±": f"${_PM}$",
    "−": "$-$",
}
"""What LaTeX would take for something else."""
