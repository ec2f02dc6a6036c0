"""hpobench: which way of choosing hyperparameters gets closest to the best, how soon, how surely?

from hpobench import Study

study = Study("mine", ["digits"], ["random", "fds"], seeds=2, budget=8)
print(study.run().summary())
"""

from typing import TYPE_CHECKING, Any

from hpobench._import_check import check_imports

check_imports()

from hpobench.budget import Budget, evaluations, seconds, steps  # noqa: E402
from hpobench.errors import HpobenchError, RunError, StudyError  # noqa: E402
from hpobench.results.run import Results  # noqa: E402

if TYPE_CHECKING:
    from hpobench.study import Cell, Study

__all__ = [
    "Budget",
    "Cell",
    "HpobenchError",
    "Results",
    "RunError",
    "Study",
    "StudyError",
    "evaluations",
    "seconds",
    "steps",
]


def __getattr__(name: str) -> Any:
    """Study and Cell bring torch along: results are read, and reports made, without it."""
    if name in ("Cell", "Study"):
        from hpobench import study

        return getattr(study, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
