"""hpobench: which way of choosing hyperparameters gets closest to the best, how soon, how surely?

from hpobench import Study

study = Study("mine", ["digits"], ["random", "fds"], seeds=2, budget=8)
print(study.run().summary())
"""

from hpobench._shadows import check_shadows

check_shadows()

from hpobench.budget import Budget, evaluations, seconds, steps  # noqa: E402
from hpobench.errors import HpobenchError, RunError, StudyError  # noqa: E402
from hpobench.results.run import Results  # noqa: E402
from hpobench.study import Cell, Study  # noqa: E402

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
