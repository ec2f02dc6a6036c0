import itertools
import re
from functools import cache, partial
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from hpobench.report.clocks import CLOCKS
from hpobench.report.drawing.inline import colour_variables, inline_svg
from hpobench.report.drawing.style import STYLES
from hpobench.report.figures.regret import regret_figure
from hpobench.report.page.document import render_report, write_report
from hpobench.report.tables.ledger import ledger_table
from hpobench.results.json_files import append_lines, read_json, write_json
from hpobench.results.run import Results
from tests.hpobench.fake_run import (
    Point,
    write_cell,
    write_run,
    write_study,
    write_yardsticks,
)
from tests.hpobench.report.drawing.test_style import contrast

VOID = {"meta", "br", "hr", "img", "link", "input", "path", "use", "rect", "image"}
OWN_SCRIPTS = 3  # the light colours, Plotly, and what uses them


class Page(HTMLParser):
    """Tags with their attributes, the text that is shown, and whether tags are closed in order."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], [], []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]

    @property
    def words(self):
        return re.sub(r"\s+", " ", " ".join(self.text))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = write_run(
        tmp_path_factory.mktemp("run"),
        tasks=("digits", "fashion"),
        searchers=("fds", "random", "bohb"),
        missing=["digits__bohb__s0", "digits__bohb__s1"],
        failed=["fashion__random__s1"],
        without_reference=["fashion"],
    )
    return Results.load(folder)


@pytest.fixture(scope="module")
def over(run):
    """The page over a clock."""
    return cache(partial(render_report, run))


@pytest.fixture(scope="module")
def html(run):
    return render_report(run)


@pytest.fixture(scope="module")
def page(html):
    return Page(html)


@pytest.mark.slow
def test_nothing_is_fetched(html, page):
    assert page.all("link", "img", "iframe", "object", "embed") == []
    assert not any("src" in script for script in page.all("script"))
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    assert "default-src 'none'" in policy
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "srcset", "data"):
            assert attributes.get(name, "#").startswith("#")
    assert re.search(r"@import|url\((?!#)", html) is None
    addresses = set(re.findall(r"https?://[^\"'\s<)]+", html))
    assert all("w3.org" in address for address in addresses), addresses


def test_every_id_is_there_once_and_every_use_finds_it(html, page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    used = set(re.findall(r"url\(#([^)]+)\)", html))
    used |= {a[k][1:] for _, a in page.tags for k in ("href", "xlink:href") if k in a}
    used |= {a["aria-labelledby"] for _, a in page.tags if "aria-labelledby" in a}
    assert used
    assert used <= set(ids)


def test_the_page_is_accessible(page):
    assert page.all("html") == [{"lang": "en"}]
    assert len(page.all("h1")) == 1
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    drawings = page.all("svg")
    assert len(drawings) == sum("data-figure" in figure for figure in page.all("figure")) >= 7
    assert all(svg["role"] == "img" and svg["aria-label"] for svg in drawings)
    boxes = [a for a in page.all("div") if a.get("class") == "box"]
    assert all(box["tabindex"] == "0" and box["aria-label"] for box in boxes)
    assert len(boxes) >= len(page.all("table"))


def variables(css, start):
    block = css[css.index(start) :]
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block[: block.index("}")]))


@pytest.mark.parametrize("start", [":root", "(prefers-color-scheme: dark)", "@media print"])
def test_text_has_a_contrast_of_four_and_a_half(start):
    css = (files("hpobench") / "report" / "page" / "page.css").read_text()
    colours = variables(css, start)
    for name in ("text", "faint", "good", "bad", "odd", "link"):
        for background in ("background", "raised"):
            assert contrast(colours[name], colours[background]) >= 4.5, (name, background)


def test_the_page_shows_what_is_missing_and_why(page):
    words = page.words
    assert "Cells of digits that are not complete: bohb: 2 missing." in words
    assert "Cells of fashion that are not complete: random: 1 failed (searcher error)." in words
    assert "fashion has no reference, so no regret" in words
    assert "the surrogate's covariance is not positive definite" in words
    assert "12 cells planned: 9 complete, 2 missing, 1 failed." in words
    assert "nan" not in words.lower().split()
    assert "None" not in words.split()


def test_the_page_prints_what_every_searcher_was_given(page):
    words = page.words
    assert "learning_rate: 2 × log 0.001 … 3" in words
    assert "learning_rate = 2 × 0.055, momentum = 0.5" in words
    assert "trained in full first by" in words
    assert "windows = 2, first_step = 0.1" in words
    assert "60 seconds for each cell" in words
    assert "1, 3 and 9 epochs; a smaller budget is the whole schedule in fewer steps" in words


def test_the_page_answers_first_and_lists_the_best_first(run, page):
    words = page.words
    assert "On digits, fds ended lowest, with a regret of" in words
    assert "2 seeds are too few to separate searchers" in words
    headings = ["Who ended lowest", "Regret of the incumbent over seconds, on digits", "Summary"]
    headings += ["Searcher against searcher", "Cells 12 cells"]
    places = [words.index(heading) for heading in headings]
    assert places == sorted(places)
    best = run.summary().loc[0, "searcher"]
    rows = words[words.index("Summary") :]
    assert rows.index(best) == min(rows.index(name) for name in run.searchers)


def test_what_comes_from_files_is_escaped(tmp_path):
    write_study(tmp_path, searchers=("fds",), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    evil = "<script>alert('x')</script> & <b>"
    write_cell(tmp_path, "digits", "fds", 0, [Point(1.0, 0.2, 0.2)], "failed", cause=evil)
    study = read_json(tmp_path / "study.json")
    study["searchers"][0]["summary"] = evil
    study["tasks"][0]["metric"] = '"><img src=x>'
    study["name"] = evil
    write_json(tmp_path / "study.json", study)
    page = Page(write_report(Results.load(tmp_path)).read_text())
    data = sum("data-figure" in figure for figure in page.all("figure"))
    assert len(page.all("script")) == OWN_SCRIPTS + data
    assert page.all("img", "b") == []
    assert page.words.count("<script>alert('x')</script> & <b>") >= 3


def test_svgs_of_any_name_stand_on_their_own(tmp_path):
    write_study(tmp_path, searchers=('a"b<c>&d',), seeds=(0,))
    write_yardsticks(tmp_path, "digits", 0)
    write_cell(tmp_path, "digits", 'a"b<c>&d', 0, [Point(1.0, 0.2, 0.2)])
    svg = inline_svg(regret_figure(Results.load(tmp_path)), "x-", 'say "a<b"')
    page = Page(svg)
    assert page.tags[0][1]["aria-label"] == 'say "a<b"'
    assert 'a"b<c>&d' in page.words
    assert all(a["id"].startswith("x-") for _, a in page.tags if "id" in a)
    assert page.all("style", "metadata") == []


def test_without_ledgers_there_is_no_table_of_them(tmp_path):
    results = Results.load(write_study(tmp_path))
    assert ledger_table(results) is None
    assert "Where the time went" not in Page(render_report(results)).words


@pytest.mark.slow
def test_the_page_prints_no_marks_of_code_and_no_dictionaries(tmp_path):
    write_run(tmp_path, searchers=("fds",))
    study, references = (read_json(tmp_path / f"{f}.json") for f in ("study", "references"))
    study["searchers"][0]["summary"] = "Changes every ``horizon`` steps, as `RMD` does."
    more = {"versions": {"torch": "2.13.0", "ray": "2.60.0"}, "fresh_test_loss": 0.14935116}
    references["digits"]["provenance"] |= {**more, "hardware": {"cores": 2, "gpu": None}}
    write_json(tmp_path / "study.json", study)
    write_json(tmp_path / "references.json", references)
    words = Page(render_report(Results.load(tmp_path))).words
    assert "Changes every horizon steps, as RMD does." in words
    assert "versions: torch 2.13.0, ray 2.60.0" in words
    assert "hardware: cores 2" in words
    assert "fresh test loss: 0.149" in words
    assert "{" not in words


def test_an_empty_run_has_a_page(tmp_path):
    draw = {"task": "digits", "seed": 0, "row": "default", "draw": 0}
    draw |= {"validation_loss": 0.3, "test_loss": 0.3, "test_accuracy": None}
    append_lines(write_study(tmp_path) / "yardsticks.jsonl", [draw])
    words = Page(render_report(Results.load(tmp_path))).words
    assert "none is called lowest" in words
    assert "4 cells planned: 4 missing." in words


@pytest.mark.slow
@pytest.mark.parametrize("clock", CLOCKS)
def test_the_page_is_over_one_clock_and_says_once_what_it_is(over, clock):
    page = Page(over(clock))
    words, mine = page.words, CLOCKS[clock]
    assert (
        f"{mine.unit} to 10 % (seeds) {mine.unit} to 1 % (seeds) {mine.unit} to ref.+s.e." in words
    )
    assert f"Regret of the incumbent over {mine.unit}, on digits." in words
    assert mine.axis in words
    assert words.count(mine.meaning) == 1
    drawings = [svg["aria-label"] for svg in page.all("svg")]
    for what in ("regret of the incumbent", "test loss of the incumbent", "mean rank"):
        over = [f"{what} over {mine.unit}, on " in label for label in drawings]
        assert over.count(True) == (2 if what == "mean rank" else 1)  # one task has no reference
    assert sum(f"Figure: {mine.unit} to a target, on " in label for label in drawings) == 1
    for other in CLOCKS.values():
        if other is not mine:
            assert other.meaning not in words
            assert f" {other.unit} to 10 % (seeds)" not in words.replace(f" {mine.unit} to", "")


@pytest.mark.slow
def test_the_clock_of_the_page_is_wall_clock_unless_told(over, html):
    assert over("seconds") == html


def test_a_drawing_takes_every_colour_from_the_page(run, html):
    svg = inline_svg(regret_figure(run), "x-", "a label")
    assert re.findall(r"#[0-9a-f]{6}", re.sub(r'(href="|url\()#[^")]*', "", svg)) == []
    used = set(re.findall(r"var\((--[\w-]+)\)", svg))
    assert {"--figure-text", "--figure-black-box-0", "--figure-gradient-based-0"} <= used
    css = html[: html.index("</style>")]
    dark = css[css.rindex("(prefers-color-scheme: dark)") :]
    for name, light in STYLES["light"].colours.items():
        assert f":root {{ {colour_variables('light')} }}" in html
        assert f"--figure-{name}: {STYLES['dark'].colours[name]};" in dark
        assert f"--figure-{name}: {light};" in dark[dark.index("@media print") :]


def test_no_two_colours_of_a_style_are_the_same():
    """Otherwise a drawing in one could not be told to another."""
    for style in STYLES.values():
        assert len(set(style.colours.values())) == len(style.colours)
