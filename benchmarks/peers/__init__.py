"""Servers to compare ours with. Nothing here imports ours."""
