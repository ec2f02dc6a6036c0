"""A Ray without a name that is replaced is refused in one line, before anything is started."""

from __future__ import annotations

import pytest

from hpobench.errors import StudyError
from hpobench.running.ray_backend import cluster
from hpobench.running.ray_internals import FIXED, LISTENER, PARAMETERS, RESOURCES, USAGE
from tests.hpobench.running.fake_slices import small_study


@pytest.mark.parametrize("place", [LISTENER, RESOURCES, USAGE, FIXED, PARAMETERS])
def test_a_ray_that_lacks_what_is_replaced_is_one_line(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(place)
    with pytest.raises(StudyError) as caught:
        cluster(small_study(), None, None).__enter__()
    assert f"has no {place}, which hpobench relies on; it is made for Ray 2." in str(caught.value)
    assert "\n" not in str(caught.value)
