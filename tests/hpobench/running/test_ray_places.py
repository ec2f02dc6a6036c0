"""A study starts wherever its Ray's files and token can be put, and else is refused in one line."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hpobench import RunError
from hpobench.running import ray_places
from hpobench.running.ray_errors import not_built
from hpobench.running.ray_places import LONGEST_ADDRESS, LONGEST_SOCKET, places


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is named, there is a token at home, and what is litter would be seen."""
    for name in ("RAY_TMPDIR", "TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "home/.ray").mkdir(parents=True)
    (tmp_path / "home/.ray/auth_token").write_text("abc")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(ray_places, "SHORT", tmp_path)
    monkeypatch.setattr(ray_places, "LONGEST_ADDRESS", len(f"{tmp_path}/hpobench-12345678") + 68)


def deep(tmp_path: Path) -> Path:
    place = tmp_path / ("x" * 60)
    place.mkdir()
    return place


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_short_place_is_rays_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with places() as environment:
        assert environment == {"RAY_TMPDIR": str(tmp_path)}
    assert not (tmp_path / "ray").exists()


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
def test_a_long_place_has_a_short_name_meanwhile(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, place = names(tmp_path), deep(tmp_path)
    monkeypatch.setenv(variable, str(place))
    with places() as environment:
        short = Path(environment["RAY_TMPDIR"])
        assert len(os.fsencode(short / LONGEST_SOCKET)) <= ray_places.LONGEST_ADDRESS
        assert short.stat().st_mode & 0o077 == 0
        (short / "ray" / "file").touch()  # where the user wants it
        assert (place / "ray" / "file").exists()
    assert names(tmp_path) == sorted([*before, place.name])
    assert (place / "ray" / "file").exists()


def test_the_longest_address_is_one_that_systems_take(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LONGEST_ADDRESS < 104
    assert len(f"/tmp/hpobench-12345678/{LONGEST_SOCKET}") < LONGEST_ADDRESS


@pytest.mark.parametrize("named", ["", "relative"])
def test_nothing_is_put_into_the_working_folder(
    named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", named)
    Path("relative").mkdir()
    with places() as environment:
        expected = tmp_path / "cwd/relative" if named else tmp_path
        assert environment["RAY_TMPDIR"] == str(expected)


@pytest.mark.parametrize("variable", ["TMPDIR", "RAY_TMPDIR"])
@pytest.mark.parametrize("kind", ["absent", "file", "file/below", "/proc", "/dev/null"])
def test_a_place_that_is_none_is_one_line(
    kind: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv(variable, str(tmp_path / kind))
    before = names(tmp_path)
    with pytest.raises(RunError, match=f"another folder in {variable}") as raised:
        places().__enter__()
    assert str(tmp_path / kind) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert names(tmp_path) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
def test_a_place_that_refuses_is_one_line(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(folder: Path, count: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ray_places, "_try_to_write", refuse)
    with pytest.raises(RunError, match=os.strerror(number)):
        places().__enter__()


@pytest.mark.parametrize("theirs", ["file", "dangling link"])
def test_where_rays_folder_is_not_for_us_there_is_one_of_our_own(
    theirs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    if theirs == "file":
        (tmp_path / "ray").touch()
    else:
        (tmp_path / "ray").symlink_to("nowhere")
    before = names(tmp_path)
    with places() as environment:
        assert Path(environment["RAY_TMPDIR"]).parent == tmp_path
    assert names(tmp_path) == before


@pytest.mark.parametrize("home", ["/proc/nope", "/dev/null", "relative", "", "file", "folder"])
def test_where_no_token_can_be_kept_at_home_it_is_in_the_environment(
    home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").mkdir()
    (tmp_path / "file/.ray").touch()
    (tmp_path / "folder/.ray/auth_token").mkdir(parents=True)
    monkeypatch.setenv("HOME", home and str(tmp_path / home) if home != "relative" else home)
    with places() as one, places() as other:
        assert len(one["RAY_AUTH_TOKEN"]) == 64
        assert one["RAY_AUTH_TOKEN"] != other["RAY_AUTH_TOKEN"]
    assert names(Path.cwd()) == []


def test_an_empty_token_is_none(tmp_path: Path) -> None:
    (tmp_path / "home/.ray/auth_token").write_text("\n")
    with places() as environment:
        assert "RAY_AUTH_TOKEN" in environment


def test_a_home_in_which_ray_can_make_one_is_left_to_it(tmp_path: Path) -> None:
    (tmp_path / "home/.ray/auth_token").unlink()
    (tmp_path / "home/.ray").rmdir()
    with places() as environment:
        assert "RAY_AUTH_TOKEN" not in environment


@pytest.mark.parametrize(
    ("name", "value"),
    [("RAY_AUTH_MODE", "disabled"), ("RAY_AUTH_TOKEN", "abc"), ("RAY_AUTH_TOKEN_PATH", "/there")],
)
def test_what_the_user_has_settled_stays(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/proc/nope")
    monkeypatch.setenv(name, value)
    with places() as environment:
        assert "RAY_AUTH_TOKEN" not in environment


def test_a_node_whose_disk_is_full_is_no_lost_worker() -> None:
    assert not_built(OSError(errno.ENOSPC, "No space left", "/scratch")).cause == "disk full"
    assert not_built(OSError(errno.ENOENT, "No such file", "/scratch")).cause == "worker lost"


STUDY = """
from hpobench.running.ray_backend import cluster
from tests.hpobench.running.fake_slices import small_study

for _ in range(2):  # Ray reads its token once
    with cluster(small_study(), None, None) as slices:
        slice_ = None
        while slice_ is None:
            slice_ = slices.take()
        assert slice_.call(len, "abc") == 3
        slice_.give_back()
"""


@pytest.mark.ray
def test_a_ray_with_a_long_place_and_no_home(tmp_path: Path) -> None:
    place = deep(tmp_path)
    environment = {**os.environ, "TMPDIR": str(place), "HOME": "/proc/nope"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", STUDY], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert names(Path.cwd()) == []
    assert list((place / "ray").glob("session_2*"))
