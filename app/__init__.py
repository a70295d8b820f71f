"""The HTTP service: loads one checkpoint and serves it."""
