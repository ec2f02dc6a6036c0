"""What a W&B Report is made of, as plain data.

A record's "class" is a class of `wandb_workspaces.reports.v2`, the rest are its arguments.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hpobench.results.json_files import Record


def made(kind: str, /, **arguments: Any) -> Record:
    return {"class": kind, **arguments}


def heading(text: str, level: int = 1) -> Record:
    return made(f"H{level}", text=text)


def paragraphs(texts: Iterable[str]) -> list[Record]:
    return [made("P", text=text) for text in texts]


def bullets(items: Iterable[str]) -> Record:
    return made("UnorderedList", items=list(items))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Record:
    """As Markdown: W&B's own tables are of what runs have logged."""
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join(f"| {' | '.join(_cell(word) for word in line)} |" for line in lines)
    return made("MarkdownBlock", text=text)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
