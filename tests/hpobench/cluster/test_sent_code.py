"""What a job is sent: all of this package's code, and of a user's folder no runs and no secrets."""

from __future__ import annotations

import zipfile
from pathlib import Path

from ray._private.runtime_env.packaging import create_package

from hpobench.cluster.jobs import LEFT_HERE, _code


def sent(folder: Path, archive: Path) -> set[str]:
    """The files that Ray packs of a folder, below it."""
    create_package(
        str(folder),
        archive,
        include_gitignore=True,
        include_parent_dir=False,
        excludes=LEFT_HERE,
    )
    return set(zipfile.ZipFile(archive).namelist())


def test_every_module_of_ours_is_sent(tmp_path: Path) -> None:
    for module in map(Path, _code()["py_modules"]):
        ours = {str(file.relative_to(module)) for file in module.rglob("*.py")}
        assert ours
        assert sent(module, tmp_path / f"{module.name}.zip") >= ours


def test_runs_hidden_files_and_compiled_ones_stay_here(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    kept = {"mine.py", "more/helper.py"}
    left = {
        *("runs/a/study.json", "more/runs/a/study.json", "wandb/a/run.wandb"),
        *("more/wandb/a/run.wandb", ".netrc", "more/.env", "__pycache__/mine.pyc"),
    }
    for name in kept | left:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    assert {n for n in sent(folder, tmp_path / "sent.zip") if not n.endswith("/")} == kept
