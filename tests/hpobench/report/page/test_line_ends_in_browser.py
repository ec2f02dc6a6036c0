"""The opening picture in a real browser: names where lines end, who is in front, first sight."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from hpobench.report import figures as registry
from hpobench.report.figures.regret import REGRET
from hpobench.report.page.document import render_report
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run
from tests.hpobench.report.page.browser import CHROMIUM, Tab
from tests.hpobench.report.page.clicking import comes_to, drawn

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]

NAMES = """[...document.querySelectorAll('.ends button')].filter((b) => !b.hidden).map((b) => {
  const box = b.getBoundingClientRect();
  return { name: b.textContent.trim(), pale: b.classList.contains('pale'),
    top: box.top, bottom: box.bottom, left: box.left, right: box.right,
    kept: b.getAttribute('aria-pressed') };
})"""
FRONT = f"{NAMES}.filter((n) => !n.pale).map((n) => n.name).sort().join(' ')"
NAMED = "[...document.querySelectorAll('.ends button')].find((b) => b.textContent.trim() === '{}')"


def page_of(folder: Path, searchers: int, seeds: int, tasks: int = 1) -> tuple[Results, str]:
    """A run and its page, of the opening picture alone."""
    names = tuple(f"searcher_{place}" for place in range(searchers))
    run = write_run(
        folder / "run", ("digits", "fashion")[:tasks], searchers=names, seeds=range(seeds)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "FIGURES", (REGRET,))
        return Results.load(run), render_report(Results.load(run))


def fewest_apart(names: list[dict[str, float]]) -> float:
    """The smallest step from one name to the next, in pixels."""
    tops = sorted(name["top"] for name in names)
    return min(b - a for a, b in itertools.pairwise(tops))


@pytest.mark.parametrize(("searchers", "seeds"), [(2, 1), (13, 2), (13, 5), (20, 2)])
def test_names_stand_where_lines_end_apart_and_inside(
    tab: Tab, tmp_path: Path, searchers: int, seeds: int
) -> None:
    results, html = page_of(tmp_path, searchers, seeds)
    drawn(tab, tmp_path / "page.html", html)
    names = tab.value(NAMES)
    assert len(names) == searchers
    assert fewest_apart(names) >= 14  # as high as a line of them
    frame = tab.value(
        "(({left, right, top, bottom}) => ({left, right, top, bottom}))"
        "(document.querySelector('.plot').getBoundingClientRect())"
    )
    for name in names:
        assert frame["left"] < name["left"] < name["right"] < frame["right"], name
        assert frame["top"] < name["top"] < name["bottom"] < frame["bottom"], name
    order = [name["name"] for name in sorted(names, key=lambda name: -name["top"])]
    assert order == results.summary()["searcher"].tolist()
    front = {name["name"] for name in names if not name["pale"]}
    assert front == {*(order if searchers <= 6 else order[:5])}


def test_to_point_at_a_name_brings_its_line_forward_and_to_press_it_keeps_it(
    tab: Tab, tmp_path: Path
) -> None:
    results, html = page_of(tmp_path, 8, 2)
    drawn(tab, tmp_path / "page.html", html)
    ranked = results.summary()["searcher"].tolist()
    at_first, last = " ".join(sorted(ranked[:5])), ranked[-1]
    assert tab.value(FRONT) == at_first
    last_name = NAMED.format(last)
    tab.value(f"{last_name}.focus()")
    assert comes_to(tab, FRONT, last) == last
    widths = (
        "document.querySelector('.plot').data.filter((t) => t.hoverinfo !== 'skip')"
        ".map((t) => [t.meta.of, t.line.width > 2, t.zorder ?? 0])"
    )
    assert sorted(tab.value(widths)) == sorted(
        [name, name == last, int(name == last)] for name in ranked
    )
    tab.value(f"{last_name}.blur()")
    assert comes_to(tab, FRONT, at_first) == at_first
    tab.value(f"{last_name}.click()")
    kept = " ".join(sorted([*ranked[:5], last]))
    assert comes_to(tab, FRONT, kept) == kept
    tab.open(tmp_path / "page.html", 1200, 20_000)  # it is kept when the page loads again
    tab.value("drawn().then(() => true)")
    assert tab.value(FRONT) == kept
    tab.value(f"{last_name}.click()")
    assert comes_to(tab, FRONT, at_first) == at_first


def test_who_is_hidden_has_no_name_and_another_comes_to_the_front(tab: Tab, tmp_path: Path) -> None:
    results, html = page_of(tmp_path, 8, 1)
    drawn(tab, tmp_path / "page.html", html)
    ranked = results.summary()["searcher"].tolist()
    buttons = "[...document.querySelectorAll('.legend button')]"
    tab.value(f"{buttons}.find((b) => b.textContent.trim() === '{ranked[0]}').click()")
    names = tab.value(NAMES)
    assert ranked[0] not in {name["name"] for name in names}
    assert {n["name"] for n in names if not n["pale"]} == {*ranked[1:6]}


def test_behind_the_means_of_few_seeds_is_each_seed_and_of_many_a_band(
    tab: Tab, tmp_path: Path
) -> None:
    counts = (
        "(() => { const t = document.querySelector('.plot').data;"
        " return [t.filter((o) => o.fill === 'tonexty').length,"
        " t.filter((o) => o.hoverinfo === 'skip' && !o.fill && o.line.width > 0).length,"
        " t.filter((o) => o.hoverinfo !== 'skip').length]; })()"
    )
    for seeds, expected in ((2, [0, 5, 8]), (6, [5, 0, 8])):
        _, html = page_of(tmp_path / str(seeds), 8, seeds)
        drawn(tab, tmp_path / "page.html", html)
        assert tab.value(counts) == expected


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (400, 800)])
@pytest.mark.parametrize(("searchers", "seeds"), [(2, 1), (13, 5), (20, 2)])
def test_the_answer_and_the_picture_come_at_first_sight(
    tab: Tab, tmp_path: Path, width: int, height: int, searchers: int, seeds: int
) -> None:
    """Who, by how much and since when, and the lines: without scrolling."""
    results, html = page_of(tmp_path, searchers, seeds)
    drawn(tab, tmp_path / "page.html", html)
    tab.open(tmp_path / "page.html", width, height)
    tab.value("drawn().then(() => true)")
    seen = tab.value(
        "(() => { const box = (at) => document.querySelector(at).getBoundingClientRect();"
        " return { answer: box('.answer').bottom, plot: box('.plot .nsewdrag').bottom,"
        " wide: document.documentElement.scrollWidth }; })()"
    )
    assert seen["answer"] < 0.5 * height
    assert seen["plot"] <= height
    assert seen["wide"] <= width
    said = tab.value("document.querySelector('.answer').textContent")
    lowest = results.summary().loc[0, "searcher"]
    assert re.search(rf"On digits, {lowest} ended lowest, with a regret of", said)
    assert re.search(r"below the next, searcher_\d+", said)
    assert re.search(r"the lowest from [\d.]+ s on", said)


def test_what_is_zoomed_into_stays_until_another_scale_is_chosen(tab: Tab, tmp_path: Path) -> None:
    results, html = page_of(tmp_path, 8, 2)
    drawn(tab, tmp_path / "page.html", html)
    tab.open(tmp_path / "page.html", 1200, 900)
    tab.value("drawn().then(() => true)")
    area = "document.querySelector('.nsewdrag').getBoundingClientRect()"
    left, top, width, height = tab.value(
        f"(({{x, y, width, height}}) => [x, y, width, height])({area})"
    )

    def mouse(kind: str, x: float, y: float, clicks: int = 1) -> None:
        where = {"x": left + x * width, "y": top + y * height, "button": "left"}
        tab.send("Input.dispatchMouseEvent", type=kind, clickCount=clicks, **where)

    across = "document.querySelector('.plot').layout.xaxis.range"
    whole = tab.value(across)
    mouse("mousePressed", 0.5, 0.3)
    for step in (0.55, 0.6, 0.7, 0.8):
        mouse("mouseMoved", step, 0.35)
    mouse("mouseReleased", 0.8, 0.35)
    narrower = f"{across}[1] - {across}[0] < {0.5 * (whole[1] - whole[0])}"
    assert comes_to(tab, narrower, True)
    zoomed = tab.value(across)
    last = results.summary()["searcher"].iloc[-1]
    tab.value(f"{NAMED.format(last)}.focus()")
    assert comes_to(tab, FRONT, last) == last
    assert tab.value(across) == zoomed
    tab.value("document.querySelector('[value=linear]').click()")
    assert tab.value(across) == [0, 60]
    for clicks in (1, 2):
        mouse("mousePressed", 0.5, 0.5, clicks)
        mouse("mouseReleased", 0.5, 0.5, clicks)
    assert comes_to(tab, f"{across}[1]", 60) == 60
    tab.value("document.querySelector('[value=log]').click()")
    assert tab.value(across) == whole
