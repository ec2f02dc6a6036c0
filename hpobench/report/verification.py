"""Is everything that a run's folder says derived from its records? Each number is computed again.

A difference is either in what was derived (a table or the page was edited, or made by another
version), or in a record that has changed since; both are named.
"""

from __future__ import annotations

import base64
import csv
import difflib
import gzip
import html
import io
import itertools
import json
import re
import shlex
import textwrap
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from hpobench.report.clocks import CLOCKS
from hpobench.report.failures import ENDING, Failure, attempted, kept_tracebacks
from hpobench.report.page.document import GENERATOR, Page, page_of
from hpobench.report.tables.latex import latex_tables
from hpobench.results.csv_text import csv_of
from hpobench.results.json_files import encoded, read_bytes, read_json, read_lines
from hpobench.results.parquet import parts_of
from hpobench.results.regret import Clock
from hpobench.results.run import Results
from hpobench.results.schema import NAMES

NEWER = {"summary.csv": ("orchestration_share",)}
"""Columns that tables of earlier versions lack, by file."""

LATER = ("table.tex",)
"""Files that earlier versions did not write."""

LATER_ROWS = re.compile('"mean",')
"""Rows of a figure's data that those of earlier versions may lack: means of few seeds."""

MOST = 20
"""Differences of a file that are said one by one."""

LONGEST = 80
"""Characters of a saying."""


def differences(path: Path) -> list[str]:
    """What in a run's folder is not what its records come to, a line each; none if all is well.

    RunError if the folder is no run, or its records are damaged.
    """
    results = Results.load(path)
    checks: dict[str, Callable[[Results, Path], Iterator[str]]] = {
        "evaluations.parquet": _of_evaluations,
        "regret.csv": lambda results, file: _of_table(results.regret(), file),
        "summary.csv": lambda results, file: _of_table(results.summary(), file),
        "report.html": _of_page,
        "table.tex": _of_latex,
    }
    if results.replays is not None:
        checks["replay.csv"] = lambda results, file: _of_table(results.replay_summary(), file)
        checks["replay_times.csv"] = lambda results, file: _of_table(results.replay_times(), file)
    undrawn = {file.name.removesuffix(ENDING) for file in kept_tracebacks(results.path)}
    lines = [*_some(_of_records(results), "the records"), *_of_undrawn(results.path)]
    for name, check in checks.items():
        file = results.path / name
        if name in LATER and not file.exists() and not _of_this_version(results.path):
            continue
        if not file.exists():
            if name not in undrawn:
                lines.append(f"{name} is not there; {_again(path)} makes it")
            continue
        found = attempted(name, partial(_found, check, results, file))
        if isinstance(found, Failure):
            # Records that were changed so that they contradict each other: nothing can come of it.
            found = [f"{name}: the records do not fit together any more ({found.why})"]
        lines += found
    return lines


def _again(path: Path) -> str:
    return f"hpobench report {shlex.quote(str(path))}"


def _of_undrawn(run: Path) -> Iterator[str]:
    """What could not be made when the run was published."""
    for file in kept_tracebacks(run):
        first = read_bytes(file).decode(errors="replace").partition("\n")[0]
        yield f"{file.relative_to(run)}: {first}; {_again(run)} tries it again"


def _found(
    check: Callable[[Results, Path], Iterator[str]], results: Results, file: Path
) -> list[str]:
    return _some(check(results, file), file.name)


def _some(lines: Iterator[str], name: str) -> list[str]:
    """The first of them, and that there are more."""
    first = list(itertools.islice(lines, MOST))
    more = f"{name}: and more of the same kind"
    return [*first, more] if next(lines, None) is not None else first


def _of_records(results: Results) -> Iterator[str]:
    """Records that are not as they were written: a digit too many to matter, another's line."""
    for name in (
        "study.json",
        "references.json",
        "yardsticks.jsonl",
        "replay.json",
        "replay.jsonl",
    ):
        yield from _as_written(results.path, name)
    for cell in results.cells[list(NAMES)].to_dict("records"):
        for name in ("cell.json", "tests.jsonl", "evaluations.jsonl"):
            yield from _as_written(results.path, f"cells/{cell['cell']}/{name}", cell)


def _as_written(path: Path, name: str, names: Mapping[Any, Any] | None = None) -> Iterator[str]:
    """``names``: what a record says of whose it is, if it says it."""
    if not (path / name).exists():
        return
    content = read_bytes(path / name)
    if name.endswith(".json"):
        whole = read_json(path / name)
        for key, value in (names or {}).items():
            if whole.get(key, value) != value:
                yield f"{name}: {key} is {whole[key]!r}, and its folder's is {value!r}"
        if encoded(whole, indent=1) + b"\n" != content:
            yield f"{name}: it is not written as hpobench writes"
        return
    lines = content.splitlines()
    for number, record in enumerate(read_lines(path / name).records, start=1):
        place = f"{name}, line {number}"
        for key, value in (names or {}).items():
            if record.get(key, value) != value:
                yield f"{place}: {key} is {record[key]!r}, and its cell's is {value!r}"
        if encoded(record) != lines[number - 1]:
            yield f"{place}: it is not written as hpobench writes"


def _of_evaluations(results: Results, file: Path) -> Iterator[str]:
    table = results.evaluations
    schema, parts = parts_of(table)
    try:
        stored = pyarrow.parquet.ParquetFile(file)
    except (pa.ArrowInvalid, OSError) as error:
        yield f"{file.name} cannot be read: {error}"
        return
    if stored.schema_arrow.names != schema.names:
        yield from _of_new_columns(table, parts, {*schema.names} - {*stored.schema_arrow.names})
        yield _columns_differ(file.name, stored.schema_arrow.names, schema.names)
    elif stored.metadata.num_rows != len(table):
        yield f"{file.name} has {stored.metadata.num_rows} rows, and the records {len(table)}"
    else:
        start = 0
        for part in parts:
            yield from _of_part(table, part, _slice(stored, start, part.num_rows), start)
            start += part.num_rows


def _of_new_columns(
    table: pd.DataFrame, parts: Iterator[pa.Table], names: set[str]
) -> Iterator[str]:
    """The evaluations that say something of which the table knows nothing."""
    start = 0
    for part in parts:
        for name in sorted(names):
            for row in np.flatnonzero(part[name].is_valid().to_numpy()):
                cell, number = (
                    table["cell"].iloc[start + row],
                    table["evaluation"].iloc[start + row],
                )
                yield (
                    f"cells/{cell}/evaluations.jsonl, evaluation {number}: {name} is"
                    f" {part[name][int(row)].as_py()!r}, and evaluations.parquet has no such column"
                )
        start += part.num_rows


def _slice(stored: pyarrow.parquet.ParquetFile, start: int, rows: int) -> pa.Table:
    """Rows of a stored table; its row groups are read as they are needed."""
    begin, groups, first = 0, [], None
    for group in range(stored.num_row_groups):
        count = stored.metadata.row_group(group).num_rows
        if begin < start + rows and begin + count > start:
            first = begin if first is None else first
            groups.append(group)
        begin += count
    return stored.read_row_groups(groups).slice(start - (first or 0), rows)


def _of_part(table: pd.DataFrame, now: pa.Table, then: pa.Table, start: int) -> Iterator[str]:
    for column in now.column_names:
        if now[column].equals(then[column]):
            continue
        pairs = zip(now[column].to_pylist(), then[column].to_pylist(), strict=True)
        for row, (value, stored) in enumerate(pairs, start=start):
            if value != stored:
                cell, number = table["cell"].iloc[row], table["evaluation"].iloc[row]
                yield (
                    f"cells/{cell}/evaluations.jsonl, evaluation {number}: {column} is {value!r},"
                    f" and evaluations.parquet has {stored!r}"
                )


def _of_table(table: pd.DataFrame, file: Path) -> Iterator[str]:
    then_names, *then = _rows(read_bytes(file)) or [[]]
    lacking = [name for name in NEWER.get(file.name, ()) if name not in then_names]
    names, *now = _rows(csv_of(table.drop(columns=lacking)))
    if names != then_names:
        yield _columns_differ(file.name, then_names, names)
    elif len(now) != len(then):
        yield f"{file.name} has {len(then)} rows, and the records give {len(now)}"
    else:
        for number, (row, stored_row) in enumerate(zip(now, then, strict=True), start=2):
            for column, value, before in zip_longest(names, row, stored_row, fillvalue=""):
                if value != before:
                    yield (
                        f"{file.name}, line {number}: {column} is {before or 'empty'}, and the"
                        f" records give {value or 'nothing'}"
                    )


def _rows(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(errors="replace"))))


def _columns_differ(name: str, then: Sequence[str], now: Sequence[str]) -> str:
    others = sorted({*then} ^ {*now}) or ["their order"]
    return (
        f"{name}: its columns are not those that this version writes ({', '.join(others)});"
        " if the records are right, hpobench report makes it again"
    )


def _of_page(results: Results, file: Path) -> Iterator[str]:
    """Against the page over the clock that it is nearest to: what it says, then how it is drawn."""
    stored = read_bytes(file).decode(errors="replace")
    alike = _drawn_by_this_version(stored)
    clocks: tuple[Clock, ...] = get_args(Clock)
    text = html.unescape(stored)
    fewest: list[str] | None = None
    for clock in [clock for clock in clocks if CLOCKS[clock].meaning in text] or clocks:
        page = page_of(results, clock)
        found = [f"report.html: {line}" for line in _not_said(page, results.path)]
        if page.html == stored:
            yield from found
            return
        if alike:
            differ = [*_sayings(_said(stored), _said(page.html))]
            found += differ or ["report.html: a figure is not what the records give"]
        else:
            found += _of_other_version(stored, page.html)
        if not found:
            return
        fewest = found if fewest is None or len(found) < len(fewest) else fewest
    yield from fewest or []


def _not_said(page: Page, run: Path) -> list[str]:
    """What cannot be made for a page and is not among what could not be when it was published."""
    known = {file.name for file in kept_tracebacks(run)}
    return [str(one) for one in page.failures if Path(one.file).name not in known]


def _of_this_version(run: Path) -> bool:
    """Whether its page is, or there is none."""
    page = run / "report.html"
    return not page.exists() or _drawn_by_this_version(read_bytes(page).decode(errors="replace"))


def _drawn_by_this_version(page: str) -> bool:
    return f'content="{GENERATOR}"' in page


def _of_other_version(stored: str, page: str) -> Iterator[str]:
    """A page that another version drew, against this one's, which may say more, in other words.

    Each number in it has to be one that the records give: a cell of a table as it stands, one in a
    sentence in some sentence. A figure's data are the same but for `LATER_ROWS`.
    """
    then, now = (
        Counter(line for line in _said(_without_drawings(text)) if re.search(r"\d", line))
        for text in (stored, page)
    )
    known = {number for line in now if len(line) > CELL for number in NUMBER.findall(line)}
    for line in then - now:
        if re.fullmatch("[0-9a-f]{12}", line):  # of a figure's data, which are compared
            continue
        unknown = [number for number in NUMBER.findall(line) if number not in known]
        if len(line) <= CELL or unknown:
            which = f" ({', '.join(unknown)})" if len(line) > CELL else ""
            said = textwrap.shorten(line, LONGEST, placeholder=" …")
            yield f"report.html says {said!r}, which the records do not give{which}"
    figures = _csvs(page)
    for name, rows in _csvs(stored).items():
        if not _all_but_later(rows, figures.get(name)):
            yield f"report.html: figure {name} is not what the records give"


def _all_but_later(then: Counter[str] | None, now: Counter[str] | None) -> bool:
    if then is None or now is None:
        return False
    return not then - now and all(map(LATER_ROWS.match, now - then))


CELL = 40
"""Letters that a cell of a table has at most; what is longer is a sentence."""

NUMBER = re.compile(r"[−-]?\d+(?:\.\d+)?(?:e[−-]?\d+)?")


def _without_drawings(page: str) -> str:
    return re.sub(r"<svg\b.*?</svg>", "", page, flags=re.DOTALL)


def _csvs(page: str) -> dict[str, Counter[str] | None]:
    """The rows of each figure's data; None where they cannot be read."""
    packed = re.findall(
        r'<figure data-figure="([^"]+)">.*?<script type="text/plain">(.*?)</script>',
        page,
        re.DOTALL,
    )
    return {name: _rows_of(data) for name, data in packed}


def _rows_of(packed: str) -> Counter[str] | None:
    try:
        content = json.loads(gzip.decompress(base64.b64decode(packed)))
    except (ValueError, OSError, EOFError, zlib.error):
        return None
    known = isinstance(content, dict) and isinstance(content.get("csv"), str)
    return Counter(content["csv"].splitlines()) if known else None


def _of_latex(results: Results, file: Path) -> Iterator[str]:
    """Against the tables over the clock that they are nearest to."""
    stored = read_bytes(file).decode(errors="replace").splitlines()
    clocks: tuple[Clock, ...] = get_args(Clock)
    tables = [latex_tables(results, clock).splitlines() for clock in clocks]
    if not _of_this_version(results.path):  # its words may be others, its numbers may not
        stored, *tables = [_latex_rows(lines) for lines in (stored, *tables)]
    if stored in tables:
        return
    nearest = max(tables, key=lambda lines: len({*lines} & {*stored}))
    for number, (now, then) in enumerate(zip_longest(nearest, stored, fillvalue=""), start=1):
        if now != then:
            before, given = _excerpts(then, now)
            yield f"{file.name}, line {number}: it says {before}, and the records give {given}"


def _latex_rows(lines: list[str]) -> list[str]:
    """What stands between the rules of each table."""
    text = "\n".join(lines)
    bodies = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    return [row for body in bodies for row in body.splitlines()]


def _sayings(then: list[str], now: list[str]) -> Iterator[str]:
    for kind, a, b, c, d in difflib.SequenceMatcher(None, then, now, False).get_opcodes():
        if kind != "equal":
            stored, given = _excerpts(" ".join(then[a:b]), " ".join(now[c:d]))
            yield f"report.html says {stored}, and the records give {given}"


def _said(page: str) -> list[str]:
    """The lines of text that a reader sees."""
    text = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    lines = html.unescape(re.sub(r"<[^>]*>", "\n", text)).splitlines()
    return [line.strip() for line in lines if line.strip()]


def _excerpts(then: str, now: str) -> list[str]:
    """Of each, the part from a little before where they are no longer the same."""
    differ = (place for place, (a, b) in enumerate(zip(then, now, strict=False)) if a != b)
    same = next(differ, min(len(then), len(now)))
    start = then.rfind(" ", 0, max(same - LONGEST // 2, 0)) + 1
    excerpts = []
    for text in (then, now):
        part = textwrap.shorten(text[start:], LONGEST, placeholder=" …")
        excerpts.append(repr(f"… {part}" if start else part) if part else "nothing")
    return excerpts
