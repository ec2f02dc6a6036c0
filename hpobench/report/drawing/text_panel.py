"""Regret over the clock in letters, for a terminal 80 columns wide.

A searcher's mean over seeds is a row of marks, with its name where it ends. Of many searchers only
those that end lowest are drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from rich.text import Text

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.labels import shortened
from hpobench.report.drawing.panel import Drawn, Panel
from hpobench.report.drawing.regret_panels import scale_of, start_of
from hpobench.report.drawing.scale import Scale, log_ticks, spread, tick_text
from hpobench.results.regret import Clock
from hpobench.text import number, plural

WIDTH, ROWS, LEFT = 45, 14, 7  # letters of a plot, and of what stands left of it
LONGEST_NAME = 14
MARKS = "●■▲◆▼○"
COLOURS = {"no search": "bright_black", "black-box": "cyan", "gradient-based": "red"}
"""By family: those of the terminal's own that can be read on black and on white."""
LEVEL, DEFAULT = "─", "┄"


def text_panel(panel: Panel, clock: Clock) -> Text:
    """The curves of a task; empty if it has none.

    Args:
        panel: The incumbents' curves over the clock.
        clock: What they are over.
    """
    if not panel.has_curves:
        return Text()
    front = panel.ranked[: len(panel.front)]
    scale = scale_of(panel)
    canvas = [[(" ", "")] * WIDTH for _ in range(ROWS)]
    for level, mark in ((panel.default, DEFAULT), (0.0 if panel.regret else np.nan, LEVEL)):
        if scale.low <= level <= scale.high:
            canvas[_row(scale, level)] = [(mark, "dim")] * WIDTH
    times = np.geomspace(start_of(panel), panel.end, WIDTH)
    for drawn, mark in reversed([*zip(front, MARKS, strict=False)]):
        colour = COLOURS[drawn.look.family]
        for column, value in enumerate(drawn.mean.at(times)):
            canvas[_row(scale, value)][column] = (mark, colour)
    ticks = {_row(scale, tick): tick_text(tick) for tick in scale.ticks()}
    names = _names(front, scale)
    seeds = "" if all(drawn.one for drawn in front) else "; means over seeds"
    page = Text(f"{panel.quantity}{scale.note}{seeds}\n", style="bold")
    for row, letters in enumerate(canvas):
        page.append(f"{ticks.get(row, ''):>{LEFT}} ┤" if row in ticks else f"{'':>{LEFT}} │")
        for letter, style in letters:
            page.append(letter, style=style)
        if row in names:
            name, style = names[row]
            page.append(f" {name}", style=style)
        page.append("\n")
    return page.append(_clock_axis(panel, clock)).append(_left_out(panel), style="dim")


def _row(scale: Scale, value: float) -> int:
    """Counted from the top."""
    low, high = scale.placed(scale.low), scale.placed(scale.high)
    share = (scale.placed(float(value)) - low) / (high - low)
    return int(np.clip(round((1 - share) * (ROWS - 1)), 0, ROWS - 1))


def _names(front: Sequence[Drawn], scale: Scale) -> dict[int, tuple[str, str]]:
    """By row, with what they come to: as near to where the curves end as can be, one in each."""
    wanted = [_row(scale, drawn.mean.last) - 1e-3 * rank for rank, drawn in enumerate(front)]
    places = spread(wanted, 1 + 1e-9, 0, ROWS - 1)
    return {
        math.floor(place + 0.5): (
            f"{mark} {shortened(drawn.label, LONGEST_NAME)} {number(drawn.mean.last, 2)}",
            COLOURS[drawn.look.family],
        )
        for place, drawn, mark in zip(places, front, MARKS, strict=False)
    }


def _clock_axis(panel: Panel, clock: Clock) -> str:
    """The axis, its ticks below it, and what it is."""
    begin, end = np.log10(start_of(panel)), np.log10(panel.end)
    line, texts = ["─"] * WIDTH, [" "] * (WIDTH + 8)
    free = 0
    for tick in log_ticks(start_of(panel), panel.end):
        at = round((np.log10(tick) - begin) / (end - begin) * (WIDTH - 1))
        text = tick_text(tick)
        left = max(at - len(text) // 2, 0)
        if left >= free:
            line[at] = "┬"
            texts[left : left + len(text)] = text
            free = left + len(text) + 1
    margin = " " * (LEFT + 2)
    axis = f"{margin[:-1]}└{''.join(line)}\n{margin}{''.join(texts).rstrip()}\n"
    return f"{axis}{margin}{CLOCKS[clock].axis.partition(':')[0]}"


def _left_out(panel: Panel) -> str:
    rest = len(panel.ranked) - len(panel.front)
    others = f"; {plural(rest, 'other')} ended higher" if rest else ""
    known = [f"{DEFAULT} default's level"] if np.isfinite(panel.default) else []
    known += [f"{LEVEL} reference"] if panel.regret else []
    return f"\n{' ' * (LEFT + 2)}{', '.join(known)}{others}\n"
