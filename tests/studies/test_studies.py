"""Every ready-made study can be found, and says what it is."""

from __future__ import annotations

import importlib

import pytest

from hpobench.discovery import find_study, study_names
from searchers.catalog import SEARCHERS


@pytest.mark.parametrize("name", study_names())
def test_is_found_by_name(name: str) -> None:
    study, source = find_study(name)
    assert source is None
    assert study.name == name
    assert importlib.import_module(f"studies.{name}").__doc__


def test_the_demo_has_both_priors_and_every_searcher() -> None:
    study, _ = find_study("demo")
    assert [task.name for task in study.tasks] == ["digits", "digits_weak_prior"]
    assert {searcher.name for searcher in study.searchers} == set(SEARCHERS)
    assert len(study.seeds) == 2
