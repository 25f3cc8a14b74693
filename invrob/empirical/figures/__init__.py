"""Pictures of whole runs: the paper's figures, both rates class by class, the trade-off plane. matplotlib is loaded here."""

from invrob.empirical.figures.plane import plane_figure
from invrob.empirical.figures.run import beside_title, network_figure, write_figures

__all__ = ["beside_title", "network_figure", "plane_figure", "write_figures"]
