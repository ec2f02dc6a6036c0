"""What is audited."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpobench.audit import run
from hpobench.audit.subjects import (
    PUBLISHED,
    AuditError,
    Subjects,
    find_engine,
    labelled,
    subjects,
)
from hpobench.errors import HpobenchError
from searchers.catalog import SEARCHERS
from searchers.hypergradients.auto import Auto
from searchers.hypergradients.forward import Forward
from searchers.hypergradients.reverse import Checkpointed, Graphs, Stored
from searchers.hypergradients.reversible import Reversible
from searchers.protocols import BlackBoxSearcher
from tests.hpobench.audit.unrolled_engine import Unrolled

HERE = Path(__file__).parent / "unrolled_engine.py"


def test_everything_unless_told() -> None:
    chosen = subjects()
    kinds = {type(engine) for engine in chosen.agreeing}
    assert {Stored, Graphs, Checkpointed, Forward, Auto, Reversible} <= kinds
    assert chosen.online
    assert chosen.measured == (PUBLISHED,)


@pytest.mark.parametrize("name", SEARCHERS)
def test_a_searcher_is_audited_for_what_it_uses(name: str) -> None:
    if isinstance(SEARCHERS[name], BlackBoxSearcher):
        with pytest.raises(AuditError, match=f"{name} is a black-box searcher") as caught:
            subjects(searcher=name)
        assert "\n" not in str(caught.value)
        assert "fds" in str(caught.value)
        return
    chosen = subjects(searcher=name)
    assert chosen.online == (name == "hd")
    own = getattr(SEARCHERS[name], "engine", None)
    assert chosen.measured == (() if own is None else (own,))
    assert chosen.agreeing == (() if own in (None, PUBLISHED) else (own,))


def test_a_clamped_engine_need_not_agree() -> None:
    chosen = subjects(engine="searchers.hypergradients.forward:Forward(clamp=1.0)")
    assert chosen == Subjects((), (PUBLISHED,), online=False)
    assert chosen.costed == (PUBLISHED,)
    assert run.passed([]).startswith("Nothing was checked")


ADDRESSES = {
    "searchers.hypergradients.reverse:Stored": Stored(),
    "searchers.hypergradients.reverse:Checkpointed(segment=4)": Checkpointed(segment=4),
    f"{HERE}:Unrolled": Unrolled(),
    f"{HERE}:Unrolled('nan')": Unrolled("nan"),
    f"{HERE}:ready": Unrolled(),
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_engine_by_its_address(address: str) -> None:
    found = find_engine(address)
    assert repr(found) == repr(ADDRESSES[address])  # a file's classes are its own module's
    assert address.startswith(str(HERE)) or found == ADDRESSES[address]


NO_ENGINES = {
    "stored": "give MODULE:ATTRIBUTE",
    "nowhere.py:Engine": "nowhere.py: there is no such file",
    "no.such.module:Engine": "no.such.module: ModuleNotFoundError",
    "searchers.hypergradients.reverse:Stord": "AttributeError",
    "searchers.hypergradients.reverse:Checkpointed(segment=0)": "segment, the steps between",
    "searchers.hypergradients.reverse:Checkpointed(size=4)": "TypeError",
    "searchers.hypergradients.reverse:Stored() or 1": "neither a name nor a call",
    "searchers.hypergradients.reverse:(": "SyntaxError",
    f"{HERE}:number": "is no engine",
    f"{HERE}:Unsendable": "cannot be pickled",
}


@pytest.mark.parametrize("address", NO_ENGINES)
def test_no_engine_is_one_line(address: str) -> None:
    with pytest.raises(HpobenchError) as caught:
        find_engine(address)
    assert NO_ENGINES[address] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_with_the_name_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("")
    with pytest.raises(AuditError, match="another module is called json"):
        find_engine(f"{tmp_path / 'json.py'}:Engine")


def test_labels_differ() -> None:
    engines = (Stored(), Checkpointed(), Checkpointed(segment=4), PUBLISHED, Forward())
    labels = [label for label, _ in labelled(engines)]
    assert labels == [
        "stored",
        "checkpointed",
        "checkpointed (2)",
        "forward, clamped to ±1",
        "forward",
    ]
