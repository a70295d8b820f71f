"""The least budget of an estimate of log p(x), which a command line needs; no torch."""

MIN_BUDGET = 256  # draws of z per example
