"""What users import comes from a few packages' faces, and the guides show nothing else."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FACES = [
    "hpobench",
    "searchers",
    "searchers.hypergradients",
    "searchers.online",
    "searchers.testing",
    "trainables",
    "trainables.testing",
]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
IMPORTED = re.compile(
    r"^\s*(?:from|import) ((?:hpobench|searchers|trainables)[\w.]*)", re.MULTILINE
)
NAMED = re.compile(r"`((?:searchers|trainables)\.[\w.]+)")


@pytest.mark.parametrize("face", FACES)
def test_a_face_has_all_that_it_promises(face: str) -> None:
    module = importlib.import_module(face)
    assert len(set(module.__all__)) == len(module.__all__)
    assert [name for name in module.__all__ if not hasattr(module, name)] == []


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_guide_imports_from_faces_alone(guide: Path) -> None:
    assert set(IMPORTED.findall(guide.read_text())) <= set(FACES)


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_what_a_guide_names_is_on_a_face(guide: Path) -> None:
    for name in NAMED.findall(guide.read_text()):
        face = next(face for face in reversed(FACES) if f"{name}.".startswith(f"{face}."))
        rest = name.removeprefix(face).strip(".")
        assert not rest or rest in importlib.import_module(face).__all__, name
