"""A digit that is changed anywhere is found, and named."""

from __future__ import annotations

import base64
import gzip
import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hpobench.cli import app
from hpobench.report import figures
from hpobench.report.figures.ledger import LEDGER
from hpobench.report.figures.regret import REGRET
from hpobench.report.figures.throughput import THROUGHPUT
from hpobench.report.page.document import GENERATOR, render_report
from hpobench.report.publishing import publish
from hpobench.report.verification import differences
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run

CELL = "digits__fds__s0"


@pytest.fixture(scope="module", autouse=True)
def two_kinds_of_figures() -> Iterator[None]:
    """Those that are drawn fastest; `test_publishing` verifies a page of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", (THROUGHPUT, LEDGER))
        yield


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = write_run(tmp_path_factory.mktemp("published") / "run", seeds=range(3))
    publish(Results.load(run), "slot_seconds")
    return run


@pytest.fixture
def run(published: Path, tmp_path: Path) -> Path:
    return shutil.copytree(published, tmp_path / "run")


def change_a_digit(file: Path, after: str) -> None:
    """The last digit of the first number after a text becomes another."""
    text = file.read_text()
    place = re.search(rf"{re.escape(after)}[-\d.]*\d", text)
    assert place is not None
    end = place.end()
    file.write_text(text[: end - 1] + str((int(text[end - 1]) + 1) % 10) + text[end:])


def test_what_was_published_is_verified(run: Path) -> None:
    assert differences(run) == []
    shown = CliRunner().invoke(app, ["verify", str(run)])
    assert shown.exit_code == 0
    assert shown.stdout.startswith("verified")


@pytest.mark.parametrize(
    "key", ["validation_loss", "seconds", "learning_rate_0", "slot_seconds", "steps", "seed"]
)
def test_a_digit_of_an_evaluation(run: Path, key: str) -> None:
    change_a_digit(run / "cells" / CELL / "evaluations.jsonl", f'"{key}": ')
    shown = CliRunner().invoke(app, ["verify", str(run)])
    assert shown.exit_code in (1, 2)  # 2: the clocks go back, a line that cannot be read
    said = shown.stdout if shown.exit_code == 1 else str(shown.exception)
    assert f"{CELL}/evaluations.jsonl" in said
    assert key in said or "go back" in said or "not written as" in said


@pytest.mark.slow
@pytest.mark.parametrize("name", ["summary.csv", "regret.csv"])
def test_a_digit_of_a_table(run: Path, name: str) -> None:
    text = (run / name).read_text()
    numbers = re.findall(r"\d\.\d+", text)
    for number in numbers[:: len(numbers) // 3]:
        (run / name).write_text(text)
        change_a_digit(run / name, number[:-1])
        found = differences(run)
        assert found
        assert [line for line in found if not line.startswith(f"{name}, line ")] == []


def test_a_digit_of_the_page(run: Path) -> None:
    text = (run / "report.html").read_text()
    (run / "report.html").write_text(text.replace("3 of 3", "3 of 4", 1))
    assert differences(run) == [
        "report.html says '3 of 4', and the records give '3 of 3'",
    ]


@pytest.mark.parametrize(
    ("file", "after"),
    [
        (f"cells/{CELL}/tests.jsonl", '"test_loss": '),
        (f"cells/{CELL}/cell.json", '"wall": '),
        ("yardsticks.jsonl", '"test_loss": '),
        ("references.json", '"learning_rate_0": '),
        ("study.json", '"learning_rate_0": '),
    ],
)
def test_a_digit_of_another_record_shows_in_what_is_derived(
    run: Path, file: str, after: str
) -> None:
    change_a_digit(run / file, after)
    assert differences(run)


def test_a_changed_key_is_named_with_its_evaluation(run: Path) -> None:
    file = run / "cells" / CELL / "evaluations.jsonl"
    file.write_text(file.read_text().replace('"learning_rate_0"', '"learning_rate_8"', 1))
    found = differences(run)
    assert re.match(rf"cells/{CELL}/evaluations.jsonl, evaluation \d+: hyperparameters\.", found[0])
    assert "learning_rate_8 is" in found[0]


def test_what_differs_late_in_a_long_sentence_is_shown(run: Path) -> None:
    page = (run / "report.html").read_text()
    sentence = re.search(r"On digits, [^<]{150,}", page)[0]
    place = max(match.start() for match in re.finditer(r"\d", sentence))
    changed = f"{sentence[:place]}{(int(sentence[place]) + 1) % 10}{sentence[place + 1 :]}"
    (run / "report.html").write_text(page.replace(sentence, changed))
    (said,) = differences(run)
    stored, mine = re.match(r"report.html says (.+), and the records give (.+)", said).groups()
    assert stored != mine
    assert stored.startswith("'… ")


def test_a_cell_that_says_to_be_another_is_named(run: Path) -> None:
    file = run / "cells" / CELL / "cell.json"
    file.write_text(file.read_text().replace('"seed": 0', '"seed": 2'))
    assert f"cells/{CELL}/cell.json: seed is 2, and its folder's is 0" in differences(run)


def test_records_that_contradict_each_other_are_said_to(run: Path) -> None:
    """Two cells of one seed, whose curves go back in time where they meet."""
    file = run / "study.json"
    file.write_text(file.read_text().replace('"seed": 1', '"seed": 0'))
    said = "\n".join(differences(run))
    assert "seed is 1, and its folder's is 0" in said
    assert "the records do not fit together any more (" in said


def test_what_is_not_there_or_of_another_version_is_named(run: Path) -> None:
    (run / "report.html").unlink()
    (run / "evaluations.parquet").write_bytes(b"nothing")
    rows = (run / "summary.csv").read_text().splitlines()
    (run / "summary.csv").write_text("\n".join(row.partition(",")[2] for row in rows))
    (run / "regret.csv").write_text("".join((run / "regret.csv").open().readlines()[:-1]))
    said = "\n".join(differences(run))
    assert "evaluations.parquet cannot be read" in said
    assert "summary.csv: its columns are not those" in said
    assert re.search(r"regret.csv has \d+ rows, and the records give \d+", said)
    assert "report.html is not there; hpobench report" in said


def redrawn(page: str, csv: Callable[[str], str] = lambda text: text) -> str:
    """A page as another version might draw it: other traces, the same data unless told."""

    def other(figure: re.Match[str]) -> str:
        content = json.loads(gzip.decompress(base64.b64decode(figure[2])))
        kept = {"csv": csv(content["csv"]), "drawn": "otherwise"}
        return figure[1] + base64.b64encode(gzip.compress(json.dumps(kept).encode())).decode()

    packed = r'(<figure data-figure="[^"]+">.*?<script type="text/plain">)([^<]+)'
    return re.sub(packed, other, page.replace(GENERATOR, "hpobench"), flags=re.DOTALL)


@pytest.mark.slow
def test_a_page_that_was_drawn_otherwise_has_to_say_and_to_hold_the_same(run: Path) -> None:
    page = (run / "report.html").read_text()
    (run / "report.html").write_text(redrawn(page))
    assert differences(run) == []
    earlier = re.sub(r"<h3>digits: how many.*?</figure>", "", redrawn(page), flags=re.DOTALL)
    assert len(earlier) < len(redrawn(page))
    (run / "report.html").write_text(earlier)  # it did not have that figure
    assert differences(run) == []
    (run / "report.html").write_text(redrawn(page, lambda csv: csv.replace("1", "2", 1)))
    assert [re.sub("figure [a-z-]+", "figure …", line) for line in differences(run)] == [
        "report.html: figure … is not what the records give"
    ] * redrawn(page).count("<figure data-figure=")
    (run / "report.html").write_text(redrawn(page).replace("3 of 3", "2 of 3", 1))
    assert differences(run) == ["report.html says '2 of 3', which the records do not give"]


@pytest.mark.slow
def test_a_page_of_another_version_may_use_other_words_but_no_other_numbers(run: Path) -> None:
    page = redrawn((run / "report.html").read_text())
    headline = re.search(r"<p>(On digits, .*?)</p>", page)
    assert headline is not None
    other = headline[1].replace("ended lowest, with a regret of", "won; what it lost at the end is")
    assert other != headline[1]
    (run / "report.html").write_text(page.replace(headline[1], other))
    assert differences(run) == []
    number = re.search(r"−?0\.\d+", headline[1])
    assert number is not None
    (run / "report.html").write_text(page.replace(headline[1], other.replace(number[0], "0.7654")))
    [line] = differences(run)
    assert line.endswith("which the records do not give (0.7654)")


def test_a_page_of_another_version_may_lack_means_of_few_seeds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Earlier versions drew each seed alone."""
    monkeypatch.setattr(figures, "FIGURES", (REGRET,))
    run = write_run(tmp_path / "run")
    results = Results.load(run)
    results.write()

    def without(line: str) -> str:
        def kept(csv: str) -> str:
            rows = csv.splitlines(keepends=True)
            return "".join(row for row in rows if not row.startswith(f'"{line}",'))

        return redrawn(render_report(results), kept)

    (run / "report.html").write_text(without("mean"))
    assert differences(run) == []
    (run / "report.html").write_text(without("seed"))
    assert differences(run) == ["report.html: figure regret-digits is not what the records give"]


def test_a_digit_of_the_table_for_papers(run: Path) -> None:
    text = (run / "table.tex").read_text()
    (run / "table.tex").write_text(text.replace("3 of 3", "3 of 4", 1))
    [line] = differences(run)
    assert line.startswith("table.tex, line ")
    (run / "table.tex").unlink()
    assert [line.partition(";")[0] for line in differences(run)] == ["table.tex is not there"]
    page = (run / "report.html").read_text()
    (run / "report.html").write_text(redrawn(page))  # earlier versions wrote no such table
    assert differences(run) == []


def test_a_table_of_another_version_may_use_other_words_but_no_other_numbers(run: Path) -> None:
    page, table = run / "report.html", run / "table.tex"
    page.write_text(page.read_text().replace(GENERATOR, "hpobench, page 5"))
    text = table.read_text().replace("ref.+s.e.", "zero")
    table.write_text(text)
    assert differences(run) == []
    table.write_text(text.replace("3 of 3", "3 of 4", 1))
    [line] = differences(run)
    assert line.startswith("table.tex, line ")


@pytest.mark.slow
def test_a_page_of_another_version_lacks_no_row_of_a_figure(run: Path) -> None:
    page = (run / "report.html").read_text()
    (run / "report.html").write_text(redrawn(page, lambda csv: csv.rpartition("\n")[0][:-1]))
    found = differences(run)
    (run / "report.html").write_text(
        redrawn(page, lambda csv: "\n".join(csv.splitlines()[:-1]) + "\n")
    )
    shorter = differences(run)
    assert found
    assert shorter
    assert all("is not what the records give" in line for line in [*found, *shorter])
