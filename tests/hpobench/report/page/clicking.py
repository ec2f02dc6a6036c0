"""Opens a page in a browser, and clicks on everything there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.hpobench.report.page.browser import Tab

CLICKS = Path(__file__).with_name("clicks.js")
MOST_SECONDS = 120.0


def opened(tab: Tab, page: Path, html: str, width: int = 1200, script: str = "") -> None:
    """The page in a window that shows all of it, after a script of the test's own."""
    own = f"<head><script>{script or CLICKS.read_text()}</script>"
    page.write_text(html.replace("<head>", own, 1))
    tab.open(page, width, 20_000)


def drawn(tab: Tab, page: Path, html: str) -> None:
    """The page with all of its plots."""
    opened(tab, page, html)
    tab.value("drawn().then(() => true)")


def clicked(
    tab: Tab, page: Path, html: str, width: int = 1200, most: int | str = ""
) -> dict[str, Any]:
    """What came of clicking on everything of a page, by figure.

    ``most``: entries of each legend.
    """
    opened(tab, page, html, width)
    return clicked_there(tab, most)


def clicked_there(tab: Tab, most: int | str = "") -> dict[str, Any]:
    """The same of a page that is open."""
    seen = tab.value(f"clickAll({most})")
    assert seen["errors"] == []
    assert seen["wide"] <= 0  # nothing sticks out
    return seen["figures"]


def words_of(figure: dict[str, Any]) -> dict[str, Any]:
    """What came of each click, by what was clicked on."""
    return {click["words"]: click for click in figure["clicks"]}


def comes_to(tab: Tab, expression: str, value: Any) -> Any:
    """What an expression comes to, as soon as that is ``value``, or after long waiting."""
    end = time.monotonic() + MOST_SECONDS
    while (found := tab.value(expression)) != value and time.monotonic() < end:
        time.sleep(0.02)
    return found
