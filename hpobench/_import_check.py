"""The four packages of this distribution have short names: another folder may be in front of one.

A folder `searchers/` beside a user's script, or automl's HPOBench (another project, whose package
is called `hpobench` as well), would be imported instead, with errors that nobody understands.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("hpobench", "searchers", "trainables", "studies")
HERE = Path(__file__).resolve().parent.parent


def check_imports() -> None:
    """ImportError, in one line, if one of the packages would come from somewhere else."""
    for package in PACKAGES:
        folder = folder_of(package)
        if folder is not None and _ours(folder.resolve(), package):
            continue
        found = f"{folder} is in front of it" if folder is not None else "it is not there"
        hint = (
            "is automl's HPOBench, another project, installed here too?"
            if package == "hpobench"
            else "rename that folder, or run from elsewhere"
        )
        raise ImportError(f"hpobench needs its own package {package!r}, but {found}; {hint}")


def folder_of(package: str) -> Path | None:
    """Where a package would be imported from; None if it is not there."""
    spec = find_spec(package)
    places = list(spec.submodule_search_locations or []) if spec else []
    return Path(places[0]) if places else None


def _ours(place: Path, package: str) -> bool:
    """Beside this package; or sent along with a Ray job, which gives each a folder of its own."""
    sent = HERE.name.startswith("_ray_pkg_") and place.parent.name.startswith("_ray_pkg_")
    return place == HERE / package or (sent and place.parent.parent == HERE.parent)
