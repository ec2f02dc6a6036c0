"""What holds for every kind of figure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpobench.report.drawing.render import render
from hpobench.report.drawing.source import FigureSource
from hpobench.report.figures import SECTIONS, figures_of
from hpobench.report.page.figure import PageFigure
from hpobench.results.run import Results
from tests.hpobench.fake_run import write_run


@pytest.fixture(scope="module")
def source(two_tasks: Results) -> FigureSource:
    return FigureSource(two_tasks)


def names_of(source: FigureSource, section: str) -> list[str]:
    every = (figure for of_kind in figures_of(source).values() for figure in of_kind)
    return [figure.name for figure in every if figure.section == section]


@pytest.mark.slow
def test_the_same_run_gives_the_same_drawings(source: FigureSource) -> None:
    for kind, figures in figures_of(source).items():
        for name, draw in kind.drawn(source, figures).items():
            assert render(draw(), "svg", "light") == render(draw(), "svg", "light"), name


@pytest.mark.slow
def test_drawings_take_every_colour_from_the_page(source: FigureSource) -> None:
    firsts = [figures[0] for figures in figures_of(source).values() if figures]
    for figure in firsts:
        drawing = re.sub(r'(href="|url\()#[^")]*', "", PageFigure(figure).svg)
        assert re.findall(r"#[0-9a-f]{6}", drawing) == [], figure.name


@pytest.mark.slow
def test_data_have_nothing_that_csv_and_json_cannot_hold(source: FigureSource) -> None:
    for figures in figures_of(source).values():
        for figure in figures:
            assert PageFigure(figure).packed, figure.name
            assert isinstance(figure.data, pd.DataFrame)
            assert not np.isinf(figure.data.select_dtypes("float").to_numpy()).any(), figure.name


def test_names_are_unique_and_sections_known(source: FigureSource) -> None:
    figures = [figure for of_kind in figures_of(source).values() for figure in of_kind]
    assert len({figure.name for figure in figures}) == len(figures)
    assert {figure.section for figure in figures} <= {*SECTIONS}


def test_those_over_all_tasks_are_of_what_is_known(source: FigureSource, tmp_path: Path) -> None:
    assert names_of(source, "across") == ["critical-difference", "performance-profile"]
    assert names_of(source, "timeline") == ["timeline"]
    results = Results.load(write_run(tmp_path, without_reference=["digits"]))
    assert names_of(FigureSource(results), "across") == ["critical-difference"]
    assert names_of(FigureSource(results), "timeline") == ["timeline"]
