"""The page in a real browser: every control is clicked, every CSV saved, without network."""

import hashlib
import json
import math
import re

import pandas as pd
import pytest

from hpobench.report import figures as registry
from hpobench.report.drawing.figure import FigureKind
from hpobench.report.drawing.style import STYLES
from hpobench.report.figures.regret import REGRET
from hpobench.report.figures.timeline import TIMELINE
from hpobench.report.page import document
from hpobench.report.page.document import render_report
from hpobench.report.page.figure import packed
from hpobench.results.run import Results
from tests.hpobench.fake_replay import write_replay
from tests.hpobench.fake_run import write_run
from tests.hpobench.report.page.browser import CHROMIUM
from tests.hpobench.report.page.clicking import clicked, comes_to, drawn, opened, words_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        tasks=("digits", "fashion"),
        searchers=("fds", "random", "bohb", "grid"),
        seeds=range(6),
        missing=[f"digits__bohb__s{seed}" for seed in range(6)],
        failed=["digits__grid__s1"],
        without_reference=["fashion"],
    )
    return write_replay(folder, at=(5.0, math.inf), every=True)


@pytest.fixture(scope="module")
def html(run):
    return render_report(run)


@pytest.fixture(scope="module")
def figures(html, tab, tmp_path_factory):
    return clicked(tab, tmp_path_factory.mktemp("page") / "page.html", html)


@pytest.fixture(scope="module")
def few(run):
    """The page of a figure for each task and of one for the run: for what is said of any figure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "FIGURES", (REGRET, TIMELINE))
        return render_report(run)


def test_every_figure_of_the_page_is_interactive(figures):
    assert set(figures) >= {
        *("regret-digits", "regret-fashion", "time-to-target-digits", "rank-digits"),
        *("rank-fashion", "ledger", "memory", "replay-digits", "replay-fashion"),
    }
    for name, figure in figures.items():
        assert figure["static_shown"] == 0, name
        assert figure["unreachable"] == figure["nameless"] == 0, name


def test_every_control_changes_what_is_drawn_and_back(figures):
    for name, figure in figures.items():
        before = figure["at_first"]
        assert figure["clicks"], name
        for click in figure["clicks"]:
            assert click["sum"] != before["sum"], (name, click["words"])
            before = click
        assert figure["clicks"][-1]["sum"] == figure["at_first"]["sum"], name


def test_what_the_controls_of_regret_do(figures):
    figure = figures["regret-digits"]
    clicks = words_of(figure)
    first = figure["at_first"]
    assert (first["x"], first["bands"], first["open"]) == ("log", 3, 3)
    assert "(log scale; linear within" in first["heading"]
    assert "training steps: one forward" in clicks["clock: steps"]["axis"].replace("<br>", " ")
    assert "slot-seconds" in clicks["clock: slot_seconds"]["axis"]
    assert clicks["horizontal: linear"]["x"] == "linear"
    assert "log scale" not in clicks["vertical: linear"]["heading"]
    assert "model in hand" in clicks["curve: in_hand"]["heading"]
    seeds = clicks["lines: seed"]
    assert (seeds["bands"], seeds["open"]) == (0, 6 + 6 + 5)
    assert clicks["hide fds"]["open"] == 2
    assert clicks["hide fds"]["pressed"] == "false"
    assert clicks["hide all"]["open"] == 0
    assert figure["disabled"] == ["bohb (0 of 6)"]


def test_hovering_over_all_tasks_says_who_is_set_apart_and_what_ran_when(figures):
    ranks = " ".join(figures["critical-difference"]["at_first"]["texts"])
    assert re.search(r"<b>fds</b>, mean rank [\d.]+<br>.*p = [\d.]+ against random", ranks)
    assert "not set apart:<br>" in ranks
    profile = " ".join(figures["performance-profile"]["at_first"]["texts"])
    assert re.search(r"<b>fds</b><br>100 % of 6 cells at or below [\d.−]+ %<br>95 %", profile)
    timeline = " ".join(figures["timeline"]["at_first"]["texts"])
    assert re.search(r"<b>fds</b>, digits, seed 0<br>cell, complete<br>slice 0, minutes", timeline)
    clicks = words_of(figures["critical-difference"])
    assert "fds" not in clicks["hide fds"]["texts"][0]


def test_hovering_says_what_an_evaluation_was(figures):
    figure = figures["regret-digits"]
    means = " ".join(figure["at_first"]["texts"])
    assert re.search(r"<b>fds</b>, mean of 6 seeds<br>regret \S+ at \S+ seconds", means)
    seeds = " ".join(words_of(figure)["lines: seed"]["texts"])
    assert "<b>fds</b>, seed 0, the task's default" in seeds
    evaluation = r"<b>fds</b>, seed 3, evaluation \d+<br>regret \S+ at \S+ seconds<br>"
    assert re.search(evaluation + r"validation loss [\d.]+, test loss [\d.]+<br>learning", seeds)
    assert "learning_rate = 0.1, momentum = 0.9" in seeds


def test_the_keyboard_walks_along_the_curves(figures):
    assert re.search(r"random.*mean of 6 seeds", figures["regret-digits"]["said"])
    assert all(figure["said"] for figure in figures.values())


def test_the_csv_is_what_its_hash_says(figures, tmp_path):
    for name, figure in figures.items():
        assert hashlib.sha256(figure["csv"].encode()).hexdigest()[:12] == figure["hash"], name
        (tmp_path / "saved.csv").write_text(figure["csv"])
        assert len(pd.read_csv(tmp_path / "saved.csv")), name


def test_the_csv_of_regret_has_the_evaluations(run, figures, tmp_path):
    (tmp_path / "saved.csv").write_text(figures["regret-digits"]["csv"])
    table = pd.read_csv(tmp_path / "saved.csv")
    seeds = table[table["line"] == "seed"]
    regret = run.regret()
    mine = regret[(regret["task"] == "digits") & (regret["status"] == "complete")]
    assert seeds["value"].to_numpy() == pytest.approx(mine["regret"].to_numpy(), rel=1e-4)
    assert set(seeds["hyperparameters"].dropna()) == {"learning_rate = 0.1, momentum = 0.9"}


def of_one_seed(tab, folder, searchers):
    """What came of clicking on two entries of each legend, and on all, on a narrow screen."""
    run = write_run(folder / "run", searchers=searchers, seeds=[0])
    html = render_report(Results.load(run))
    regret = clicked(tab, folder / "page.html", html, width=400, most=2)["regret-digits"]
    assert regret["at_first"]["open"] == len(searchers)
    assert not any(click["words"].startswith("lines") for click in regret["clicks"])
    return regret


def test_a_page_of_one_seed_and_many_searchers_works_on_a_narrow_screen(tab, tmp_path):
    """One more than there are styles."""
    of_one_seed(tab, tmp_path, [f"searcher_{place}" for place in range(13)])


def test_on_one_of_two_searchers_names_are_not_taken_for_markup(tab, tmp_path):
    evil = "<img src=x onerror=alert(1)>&amp;"
    figure = of_one_seed(tab, tmp_path, ["fds", evil])
    assert {"hide fds", f"hide {evil}"} <= set(words_of(figure))
    shown = evil.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert any(f"<b>{shown}</b>" in text for text in figure["at_first"]["texts"])


def test_what_was_chosen_is_kept_when_the_page_loads_again(few, tab, tmp_path):
    page = tmp_path / "page.html"
    opened(tab, page, few)
    first = "document.querySelector('figure[data-figure]')"
    chosen = f"[{first}.querySelector('[value=steps]').checked, "
    chosen += f"{first}.querySelector('.legend button').getAttribute('aria-pressed')]"
    assert tab.value(f"drawn().then(() => {chosen})") == [False, "true"]
    tab.value(f"{first}.querySelector('[value=steps]').click()")
    tab.value(f"{first}.querySelector('.legend button').click()")
    tab.open(page, 1200, 20_000)
    assert tab.value(f"drawn().then(() => {chosen})") == [True, "false"]
    axis = tab.value(f"{first}.querySelector('.plot').layout.xaxis.title.text")
    assert "training steps" in axis


SHOWN = """(what) => [...document.querySelectorAll(what)]
  .filter((element) => getComputedStyle(element).display !== "none").length"""


def shown(tab):
    """How many drawings are to be seen, and how many plots and controls."""
    return tab.value(f"[{SHOWN}].flatMap((n) => [n('.drawing'), n('.plot, .controls, .csv')])")


@pytest.mark.parametrize(
    "unable",
    ["delete window.DecompressionStream", "window.atob = () => '!'"],
    ids=["old", "broken"],
)
def test_where_scripts_cannot_draw_the_drawings_stay(html, tab, tmp_path, unable, figures):
    opened(tab, tmp_path / "page.html", html, script=unable)
    again = "page.start().then(() => true, () => false)"  # ends later than what began at loading
    assert tab.value(again) == unable.startswith("delete")
    tab.value("new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    assert shown(tab) == [len(figures), 0]


def test_a_figure_that_fails_leaves_the_others_interactive(few, tab, tmp_path):
    """One whose data cannot be read, and one that cannot be drawn of them: theirs stay drawings."""
    html = few
    undrawable = {"csv": "", "label": "", "traces": None, "controls": [], "legend": []}
    contents = {"timeline": "AAAA", "regret-digits": packed(json.dumps(undrawable).encode())}
    for name, content in contents.items():
        begin = html.index('<script type="text/plain">', html.index(f'data-figure="{name}"'))
        end = html.index("</script>", begin)
        html = f'{html[:begin]}<script type="text/plain">{content}{html[end:]}'
    opened(tab, tmp_path / "page.html", html)
    ready = "[...document.querySelectorAll('figure.ready')].map((f) => f.dataset.figure)"
    assert comes_to(tab, ready, ["regret-fashion"]) == ["regret-fashion"]
    assert shown(tab)[0] == 2


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_could_not_be_drawn_is_told_in_the_page_on_any_screen_and_on_paper(
    run, tab, tmp_path, monkeypatch, scheme, width
):
    def fails(source):
        raise ValueError(f"planted: {'a_word_without_end' * 9}")

    monkeypatch.setattr(registry, "FIGURES", (FigureKind(fails, name="mine"), TIMELINE))
    opened(tab, tmp_path / "page.html", render_report(run), width)
    notice = "document.querySelector('.undrawn')"
    for media in ("", "print"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        tab.send("Emulation.setEmulatedMedia", media=media, features=features)
        assert tab.value(f"{notice}.innerText").startswith("Figure mine could not be drawn.")
        assert tab.value(f"{notice}.scrollWidth <= {notice}.clientWidth")
        assert tab.value(f"{notice}.getBoundingClientRect().right <= innerWidth")
        colours = f"getComputedStyle({notice}).color, getComputedStyle(document.body).color"
        assert len(set(tab.value(f"[{colours}]"))) == 1
    tab.send("Emulation.setEmulatedMedia", media="", features=[])


@pytest.mark.parametrize("width", [1280, 400])
def test_nothing_moves_when_the_first_plot_takes_the_place_of_its_drawing(
    few, tab, tmp_path, width
):
    """While the page loads, its drawing is whole, where the plot will be, and without controls."""
    page, first = tmp_path / "page.html", "document.querySelector('figure')"
    page.write_text(few)
    tab.open(page, width, 900)
    ready = f"{first}.classList.contains('ready')"
    tab.value(
        f"new Promise((done) => {{ const look = () => {ready} ? done() : setTimeout(look, 20);"
        " look(); })"
    )
    place = f"""(what) => {{
      const box = {first}.querySelector(what).getBoundingClientRect();
      return [box.top, box.height, box.right];
    }}"""
    plot = tab.value(f"({place})('.plot')")
    tab.value(f"{first}.classList.remove('ready')")
    drawing, controls = tab.value(f"['.drawing', '.controls'].map({place})")
    assert drawing[0] == plot[0]
    assert drawing[1] <= plot[1] + 1
    assert controls[1] == 0
    assert tab.value(f"({place})('.drawing svg')")[2] <= plot[2]  # no part of it is cut off


def test_drawings_are_printed_and_no_controls(few, tab, tmp_path):
    drawn(tab, tmp_path / "page.html", few)
    figures = few.count("<figure data-figure=")
    assert figures == 3
    assert shown(tab) == [0, 3 * figures]
    tab.send("Emulation.setEmulatedMedia", media="print")
    assert shown(tab) == [figures, 0]
    tab.send("Emulation.setEmulatedMedia", media="")


def test_a_large_page_prints_its_plots_on_white(run, tab, tmp_path, monkeypatch):
    """It has no drawing of each, so that the plots are printed: all of them, as wide as paper."""
    monkeypatch.setattr(document, "MANY", 0)
    monkeypatch.setattr(registry, "FIGURES", (REGRET, TIMELINE))
    opened(tab, tmp_path / "page.html", render_report(run))
    plots = "[...document.querySelectorAll('.plot')]"
    looks = f"[...new Set({plots}.map((p) => p.layout.font.color))]"
    wide = f"{plots}.every((p) => p.clientWidth === p.layout.width && p.clientWidth <= 704)"
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    tab.send("Emulation.setEmulatedMedia", media="", features=dark)
    assert tab.value(f"drawn().then(() => {looks})") == [STYLES["dark"].text]
    assert tab.value(f"[{SHOWN}].map((n) => n('.whole'))") == [0]
    tab.value("dispatchEvent(new Event('beforeprint'))")
    tab.send("Emulation.setEmulatedMedia", media="print", features=dark)
    assert tab.value(f"[{looks}, {wide}]") == [[STYLES["light"].text], True]
    seen = tab.value(f"[{SHOWN}].flatMap((n) => [n('.plot'), n('.legend'), n('.choice, .csv')])")
    assert seen[0] == tab.value(f"{plots}.length") > 0
    assert seen[1] > 0
    assert seen[2] == 0
    tab.send("Emulation.setEmulatedMedia", media="", features=dark)
    tab.value("dispatchEvent(new Event('afterprint'))")
    assert tab.value(looks) == [STYLES["dark"].text]
    tab.send("Emulation.setEmulatedMedia", media="", features=[])


def test_light_and_dark_are_told_apart_by_the_plots_too(few, tab, tmp_path):
    drawn(tab, tmp_path / "page.html", few)
    colour = "document.querySelector('.plot').layout.font.color"
    for scheme in ("light", "dark"):
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        tab.send("Emulation.setEmulatedMedia", media="", features=features)
        assert comes_to(tab, colour, STYLES[scheme].text) == STYLES[scheme].text
    tab.send("Emulation.setEmulatedMedia", media="", features=[])
