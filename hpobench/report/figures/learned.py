"""The figures of each task about its hyperparameters, as files have them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from hpobench.report.drawing.evaluated import Evaluated
from hpobench.report.figures.hypergradients import hypergradient_data, hypergradient_figure
from hpobench.report.figures.parallel import parallel_data, parallel_figure, shown_priors
from hpobench.report.figures.schedules import moving, scales_of, schedule_data, schedule_figure

if TYPE_CHECKING:
    from hpobench.results.run import Results


def learned_drawings(results: Results) -> dict[str, Callable[[], Figure]]:
    """What draws them, by name: `schedules-TASK` (against the training, where anything changes in
    one), `outer-steps-TASK`, `hypergradients-TASK` and `parallel-TASK`. Those that would show
    nothing are left out.
    """
    evaluated = Evaluated.of(results)
    places = {name: place for place, name in enumerate(results.searchers)}
    figures: dict[str, Callable[[], Figure]] = {}
    for task in results.tasks:
        record = results.task(task)
        learned = schedule_data(evaluated, task)
        scales = scales_of(record, learned)
        if moving(learned):
            figures[f"schedules-{task}"] = partial(
                schedule_figure, learned, "training", places, scales
            )
        if len(learned):
            figures[f"outer-steps-{task}"] = partial(
                schedule_figure, learned, "evaluation", places, scales
            )
        slopes = hypergradient_data(evaluated, task)
        if len(slopes):
            names = list(dict.fromkeys(slopes["hyperparameter"]))
            figures[f"hypergradients-{task}"] = partial(
                hypergradient_figure, slopes, "evaluation", places, names
            )
        tried, _ = parallel_data(evaluated, task)
        if len(tried):
            figures[f"parallel-{task}"] = partial(
                parallel_figure, tried, shown_priors(record, tried), record["metric"], places
            )
    return figures
