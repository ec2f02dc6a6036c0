"""Imports point one way: the contracts in pyproject.toml hold, and are not empty words."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import grimp
import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("studies", "hpobench", "trainables", "searchers")
LINT = str(Path(sys.executable).with_name("lint-imports"))

WRONG = {
    "searchers/space.py": ("trainables.task", "Four packages"),
    "hpobench/results/csv_text.py": ("hpobench.running.faults", "rooms of hpobench"),
    "hpobench/running/scheduler.py": ("hpobench.report.publishing", "knows nothing of showing it"),
    "searchers/space.py ": ("searchers.catalog", "rooms of searchers"),
    "trainables/network.py": ("trainables.tasks.catalog", "rooms of trainables"),
    "hpobench/results/json_files.py": ("hpobench.results.run", "No circle"),
    "hpobench/report/clocks.py": ("torch", "without torch"),
    "hpobench/cli.py": ("tests.hpobench.fake_run", "no tests"),
}
"""What a file must not import, and the contract that says so."""


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's code, to add imports to."""
    folder = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=lambda _, names: {"__pycache__"} & {*names}
        )
    return folder


def test_imports_point_one_way(copy: Path) -> None:
    checked = lint(copy)
    assert checked.returncode == 0, checked.stdout


def test_each_contract_catches_what_it_forbids(copy: Path) -> None:
    for place, (module, _) in WRONG.items():
        with open(copy / place.strip(), "a") as file:
            file.write(f"\nimport {module}\n")
    broken = [line for line in lint(copy).stdout.splitlines() if " BROKEN" in line]
    for _, contract in WRONG.values():
        assert any(contract in line for line in broken), contract


def test_no_files_import_each_other_in_a_circle_not_even_a_folder_and_its_files() -> None:
    """The contract compares what lies side by side; a folder's face lies above its files."""
    graph = grimp.build_graph(*PACKAGES, cache_dir=None)
    imports = networkx.DiGraph(
        (module, imported)
        for module in graph.modules
        for imported in graph.find_modules_directly_imported_by(module)
    )
    imports.remove_edge("hpobench.study", "hpobench.pipeline")  # late, for convenience
    circles = [c for c in networkx.strongly_connected_components(imports) if len(c) > 1]
    assert circles == []
