"""The versions that are declared are those that are tested: from the lowest pinned to the usual."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
REQUIREMENTS = PROJECT["dependencies"] + PROJECT["optional-dependencies"]["test"]


def pinned(file: str, package: str) -> Version:
    """The version of a package in a file of pins."""
    pins = re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / file).read_text(), re.MULTILINE)
    versions = {canonicalize_name(name): version for name, version in pins}
    return Version(versions[canonicalize_name(package)])


@pytest.mark.parametrize("requirement", map(Requirement, REQUIREMENTS), ids=lambda of: of.name)
def test_the_lowest_version_declared_is_tested_and_so_is_the_usual_one(requirement):
    (lowest,) = requirement.specifier
    assert lowest.operator == ">="
    assert pinned("constraints-lowest.txt", requirement.name) == Version(lowest.version)
    assert pinned("constraints.txt", requirement.name) in requirement.specifier
