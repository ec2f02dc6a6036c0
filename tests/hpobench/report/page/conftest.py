"""What tests of the page share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hpobench.report.page.browser import Tab, browser


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """A tab of a browser, for one test after the other."""
    with browser(tmp_path_factory.mktemp("profile")) as tab:
        yield tab
