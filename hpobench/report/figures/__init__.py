"""Figures of a run, one file per kind of figure.

from hpobench.report.figures import regret_figure, write_figures

regret_figure(results, style="dark").savefig("regret.png")
write_figures(results)      # figures/*.png, *.svg and *.pdf in the run's folder
"""

from hpobench.report.drawing.style import STYLES
from hpobench.report.figures.regret import regret_figure
from hpobench.report.figures.write import write_figures

__all__ = ["STYLES", "regret_figure", "write_figures"]
