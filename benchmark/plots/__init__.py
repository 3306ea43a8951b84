"""Figures for papers, each a function that writes PNG, SVG and the numbers as CSV.

``lyceum plot PROTOCOL --kind ...`` draws them from the command line; docs/plots.md shows them all.
"""

from benchmark.plots.curriculum import plot_curriculum
from benchmark.plots.curves import plot_learning_curves
from benchmark.plots.motion import animate_curriculum, plot_ridges, plot_snapshots
from benchmark.plots.radar import plot_radar
from benchmark.plots.scores import plot_improvement, plot_intervals, plot_profiles
from benchmark.plots.tasks import plot_costs, plot_targets, plot_task_map

__all__ = [
    "animate_curriculum",
    "plot_costs",
    "plot_curriculum",
    "plot_improvement",
    "plot_intervals",
    "plot_learning_curves",
    "plot_profiles",
    "plot_radar",
    "plot_ridges",
    "plot_snapshots",
    "plot_targets",
    "plot_task_map",
]
