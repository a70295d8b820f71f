"""Figures of released models."""

from model.checkpoint import Checkpoint
from model.checkpoint.manifest import Figure


def figure(released: Checkpoint, name: str, split: str) -> Figure:
    """Return a figure of the card."""
    [found] = [
        figure
        for figure in released.metrics.figures
        if (figure.name, figure.split) == (name, split)
    ]
    return found
