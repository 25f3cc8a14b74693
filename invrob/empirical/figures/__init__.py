"""Pictures of whole runs: the paper's figures, both rates class by class, the trade-off plane."""

from invrob.empirical.figures.plane import plane_figure
from invrob.empirical.figures.run import network_figure, study_figure, write_figures

__all__ = ["network_figure", "plane_figure", "study_figure", "write_figures"]
