"""An audit as tables for the terminal, readable at 100 columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from rich import box
from rich.table import Table
from rich.text import Text

from hpobench.audit.agreement import FINITE
from hpobench.audit.rows import GROSS, Agreement, Cost, Spread, named, over_draws, own_draws
from hpobench.text import UNKNOWN, listed, number, percent, plural, plus_minus

MOST_COEFFICIENTS = 24
T = TypeVar("T")


def agreement_table(rows: Sequence[Agreement], against_differences: bool) -> Table:
    """Engines × update rules: the largest difference over nets and hyperparameters.

    Against finite differences, or else against the stored reverse engine, the trained weights
    against plain training.
    """
    rows = [row for row in rows if (row.against == FINITE) == against_differences or row.note]
    what = FINITE if against_differences else "the stored reverse engine (weights: plain training)"
    table = _headed("engine")
    rules = _unique(row.rule for row in rows)
    for rule in [*rules, "limit"]:
        table.add_column(rule, justify="right")
    for engine in _unique(row.engine for row in rows):
        own = [row for row in rows if row.engine == engine]
        cells = [_cell([row for row in own if row.rule == rule]) for rule in rules]
        table.add_row(named(engine, own), *cells, f"{max(row.limit for row in own):.0e}")
    return _titled(
        f"Largest difference from {what},\n"
        "relative to max(1, |value|): below 1, differences and limits are absolute",
        table,
    )


def _cell(rows: Sequence[Agreement]) -> Text:
    if not rows or all(row.refused for row in rows):
        return Text(UNKNOWN, style="dim")
    failed = [row for row in rows if not row.passed]
    if any(row.note for row in failed):
        return Text("✗ error", style="red")
    worst = max(row.difference for row in failed or rows if not row.refused)
    return Text(
        f"{'✗' if failed else '✓'} {worst:.0e}".replace(" 0e+00", " 0"),
        style="red" if failed else "green",
    )


def refusal_lines(rows: Sequence[Agreement]) -> list[str]:
    """Which rules an engine says that it cannot do, and why the first of them."""
    lines = []
    for engine in _unique(row.engine for row in rows if row.refused):
        own = [row for row in rows if row.engine == engine and row.refused]
        rules = listed(_unique(row.rule for row in own))
        lines.append(f"{UNKNOWN} {engine} refuses {rules}: {own[0].note}")
    return lines


def failure_lines(rows: Sequence[Agreement]) -> list[str]:
    """For each engine and rule that failed the largest failure, and engines that did nothing."""
    lines = []
    for engine in _unique(row.engine for row in rows):
        own = [row for row in rows if row.engine == engine]
        if all(row.refused for row in own):
            lines.append(f"failed: {engine} refuses everything: {own[0].note}")
        for rule in _unique(row.rule for row in own):
            failed = [row for row in own if row.rule == rule and not row.passed]
            if failed:
                worst = max(failed, key=lambda row: (bool(row.note), row.difference))
                more = f" (and {len(failed) - 1} more of this rule)" if len(failed) > 1 else ""
                lines.append(f"failed: {worst.words}{more}")
    return lines


def gross_lines(rows: Sequence[Spread]) -> list[str]:
    """Exact engines that are not so on a task, in its own precision: a line for each engine."""
    lines = []
    first = {row.coefficient: row for row in rows if row.engine == rows[0].engine}
    for engine in _unique(row.engine for row in rows):
        own = [row for row in rows if row.engine == engine and row.exact and not row.note]
        lost = [row for row in own if row.nonfinite > first[row.coefficient].nonfinite]
        apart = [row for row in own if row.difference > GROSS]
        if lost:
            worst = max(lost, key=lambda row: row.nonfinite)
            lines.append(
                f"failed: {engine} on {worst.task}, {worst.coefficient}: "
                f"{worst.nonfinite} of {worst.draws} derivatives are not finite"
            )
        elif apart:
            worst = max(apart, key=lambda row: row.difference)
            lines.append(
                f"failed: {engine} on {worst.task}, {worst.coefficient}: {worst.difference:.0%} "
                f"away from {rows[0].engine} on the same draws, limit {GROSS:.0%}"
            )
    return lines


def trouble_lines(rows: Sequence[Spread | Cost]) -> list[str]:
    """Why an engine has no number, if it has none."""
    known = [(row.words, row.refused) for row in rows if row.note]
    return [f"{UNKNOWN if refused else 'failed:'} {words}" for words, refused in _unique(known)]


def spread_table(rows: Sequence[Spread]) -> Table:
    """The first engine's hypergradient by each coefficient; the others' bias against it."""
    engines = _unique(row.engine for row in rows)
    first = [row for row in rows if row.engine == engines[0]]
    table = _headed("coefficient")
    for column in ("mean", "deviation", "same sign", "signal/noise"):
        table.add_column(column, justify="right")
    for engine in engines[1:]:
        table.add_column(f"bias of {named(engine, rows)}", justify="right")
        table.add_column("sign flips", justify="right")
    for row in first[:MOST_COEFFICIENTS]:
        cells = [number(row.mean), number(row.deviation), percent(row.signs)]
        cells.append(number(row.signal_to_noise))
        for engine in engines[1:]:
            (other,) = (r for r in rows if r.engine == engine and r.coefficient == row.coefficient)
            cells += [plus_minus(other.bias, other.bias_error), percent(other.flips)]
        table.add_row(row.coefficient, *cells)
    if len(first) > MOST_COEFFICIENTS:
        table.caption = f"and {len(first) - MOST_COEFFICIENTS} more coefficients in audit.csv"
    each = [f"{engine}: {words}" for engine, words in own_draws(rows).items()]
    had = f"\n({'; '.join(each)})" if each else ""
    return _titled(
        f"Hypergradient at the initial configuration of {first[0].task}, by the fraction of each "
        f"range,\n{named(engines[0], rows)}: {plural(first[0].epochs, 'epoch')}, {over_draws(rows)}"
        f"{had}",
        table,
    )


def time_table(rows: Sequence[Cost]) -> Table:
    title = "Time, in steps of plain training for each step, of T steps by K hyperparameters"
    return _sizes(title, rows, lambda row: number(row.steps, 2))


def memory_table(rows: Sequence[Cost]) -> Table:
    title = f"Growth of peak memory in MiB ({rows[0].memory})"
    return _sizes(title, rows, lambda row: number(row.mebibytes, 2))


def _sizes(title: str, rows: Sequence[Cost], shown: Callable[[Cost], str]) -> Table:
    """Engines × sizes of the training: T steps, K windows."""
    table = _headed("engine")
    sizes = _unique((row.horizon, row.windows) for row in rows)
    for horizon, windows in sizes:
        table.add_column(f"T={horizon}\nK={windows}", justify="right")
    for engine in _unique(row.engine for row in rows):
        own = [row for row in rows if row.engine == engine]
        table.add_row(named(engine, own), *map(shown, own))
    return _titled(title, table)


def _headed(first: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first)
    return table


def _titled(title: str, table: Table) -> Table:
    """The table under its title, which may be wider."""
    page = Table.grid()
    page.add_row(Text(title, style="bold"))
    page.add_row(table)
    return page


def _unique(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
