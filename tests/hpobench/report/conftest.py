"""What tests of the report share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from hpobench.report import figures
from hpobench.report.figures.regret import REGRET


@pytest.fixture(scope="module")
def one_kind_of_figure() -> Iterator[None]:
    """For tests of what else a page says: to draw all figures takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "FIGURES", (REGRET,))
        yield
