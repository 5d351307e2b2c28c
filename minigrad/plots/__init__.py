"""The figures of the lessons. Each function returns its figure and never shows it.

Functions for one axes take `ax`, the axes to draw in. Functions for several take `fig`, a figure or
subfigure to draw in, made with layout="constrained". Without them they make a figure.
"""

from minigrad.plots.blocks import blocks
from minigrad.plots.chance import intervals, plane
from minigrad.plots.curves import beside, class_bars, curves, proportional, stacked
from minigrad.plots.descent import by_step, on_a_curve, over_contours, step_slider
from minigrad.plots.digits import digits
from minigrad.plots.errors import errors
from minigrad.plots.gradients import gradients
from minigrad.plots.graph import graph
from minigrad.plots.heat import heat_map
from minigrad.plots.im2col import im2col
from minigrad.plots.images import feature_maps
from minigrad.plots.interfaces import interfaces
from minigrad.plots.network import network
from minigrad.plots.regions import fields, regions
from minigrad.plots.repeated import against, differences, means
from minigrad.plots.style import COLOURS, colour, styled
from minigrad.plots.surfaces import cloud, surface_paths
from minigrad.plots.timeline import timelines
from minigrad.plots.training import confusion, history
from minigrad.plots.uncertainty import bands, histograms
from minigrad.plots.units import units
from minigrad.plots.with_intervals import through_layers, with_intervals

__all__ = [
    "COLOURS",
    "against",
    "bands",
    "beside",
    "blocks",
    "by_step",
    "class_bars",
    "cloud",
    "colour",
    "confusion",
    "curves",
    "differences",
    "digits",
    "errors",
    "feature_maps",
    "fields",
    "gradients",
    "graph",
    "heat_map",
    "histograms",
    "history",
    "im2col",
    "interfaces",
    "intervals",
    "means",
    "network",
    "on_a_curve",
    "over_contours",
    "plane",
    "proportional",
    "regions",
    "stacked",
    "step_slider",
    "styled",
    "surface_paths",
    "through_layers",
    "timelines",
    "units",
    "with_intervals",
]
