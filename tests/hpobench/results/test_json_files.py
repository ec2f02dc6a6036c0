import errno
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpobench.errors import RunError
from hpobench.results.json_files import append_lines, make_folder, read_json, read_lines, write_json

texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
records = st.lists(st.dictionaries(texts, values, max_size=4), min_size=1, max_size=4)


def write(path: Path, content: list[dict]) -> Path:
    path.unlink(missing_ok=True)
    for record in content:
        append_lines(path, [record])
    return path


@given(records)
@pytest.mark.slow
def test_what_is_appended_is_read(tmp_path_factory, content):
    path = write(tmp_path_factory.getbasetemp() / "a.jsonl", content)
    assert read_lines(path) == (content, False)


@pytest.mark.slow
@given(records, st.data())
def test_a_torn_last_line_is_dropped_and_mended_by_the_next(tmp_path_factory, content, data):
    path = write(tmp_path_factory.getbasetemp() / "torn.jsonl", content)
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    cut = data.draw(st.integers(start + 1, len(whole) - 2), label="cut")
    path.write_bytes(whole[:cut])
    assert read_lines(path) == (content[:-1], True)
    append_lines(path, [{"next": 1}])
    assert read_lines(path) == ([*content[:-1], {"next": 1}], False)


def test_a_last_line_that_only_lacks_its_newline_counts(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n{"a": 2}')
    assert read_lines(path) == ([{"a": 1}, {"a": 2}], False)
    append_lines(path, [{"a": 3}])
    assert read_lines(path).records == [{"a": 1}, {"a": 2}, {"a": 3}]


@pytest.mark.parametrize("damage", [b'{"a": 1', b"", b"[1]", b'{"a": NaN}', b"\x00\x00", b"\xff"])
def test_damage_before_the_end_names_file_and_line(tmp_path, damage):
    path = tmp_path / "evaluations.jsonl"
    path.write_bytes(b'{"a": 1}\n' + damage + b'\n{"a": 3}\n')
    with pytest.raises(RunError, match=r"evaluations\.jsonl, line 2 is damaged") as caught:
        read_lines(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_is_never_written(tmp_path, bad):
    path = tmp_path / "a.jsonl"
    append_lines(path, [{"a": 1}])
    with pytest.raises(ValueError, match=r"a\.jsonl"):
        append_lines(path, [{"a": [1, {"b": bad}]}])
    with pytest.raises(ValueError, match=r"b\.json"):
        write_json(tmp_path / "b.json", {"a": bad})
    assert read_lines(path).records == [{"a": 1}]
    assert os.listdir(tmp_path) == ["a.jsonl"]


def test_a_line_is_one_write(tmp_path, monkeypatch):
    writes = []

    class Counted(io.FileIO):
        def write(self, content):
            writes.append(bytes(content))
            return super().write(content)

    monkeypatch.setattr(
        "hpobench.results.json_files.open",
        lambda path, mode, buffering: Counted(path, "a+"),
        raising=False,
    )
    append_lines(tmp_path / "a.jsonl", [{"a": "long " * 5000}])
    assert len(writes) == 1
    assert writes[0].endswith(b"}\n")


def test_a_json_file_is_whole_or_as_before(tmp_path, monkeypatch):
    path = tmp_path / "cell.json"
    write_json(path, {"status": "running"})

    def refuse(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(RunError, match=r"cell\.json: Input/output error"):
            write_json(path, {"status": "complete"})
    assert read_json(path) == {"status": "running"}
    assert os.listdir(tmp_path) == ["cell.json"]
    write_json(path, {"status": "complete"})
    assert json.loads(path.read_text()) == {"status": "complete"}


def test_a_full_disk_is_one_line():
    with pytest.raises(RunError, match="No space left on device; free some space") as caught:
        append_lines(Path("/dev/full"), [{"a": 1}])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_disk_that_may_not_be_written_is_one_line(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(RunError, match="give yourself access to that folder"):
        write_json(tmp_path / "a.json", {})


def test_a_file_in_the_way_of_a_folder_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunError, match="runs"):
        make_folder(tmp_path / "runs" / "first")


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": NaN}'])
def test_a_damaged_json_file_is_one_line(tmp_path, content):
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(RunError, match=r"study\.json is damaged"):
        read_json(tmp_path / "study.json")
