"""Figures of a run, one file per kind of figure.

from hpobench.figures import regret_figure, write_figures

regret_figure(results, style="dark").savefig("regret.png")
write_figures(results)      # figures/*.png and *.svg in the run's folder
"""

from hpobench.figures.regret import regret_figure
from hpobench.figures.style import STYLES
from hpobench.figures.write import write_figures

__all__ = ["STYLES", "regret_figure", "write_figures"]
