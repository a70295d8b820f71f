"""Rows of a table of numbers whose columns have names, and the calls that take them."""

import pytest

COLUMNS = ("height", "mass", "a/b", "x~y", "größe")
ROWS = [[1.5, -2.0, 0.25, 3.0, 0.0], [0.5, 4.0, -1.0, 2.0, 1.0]]
CALLS = (
    *("encode", "elbo", "reconstruct", "loglik", "gap", "refine", "posterior"),
    "anomaly",
)
EACH_CALL = [
    pytest.param(name, marks=pytest.mark.slow("analyzes rows"))
    if name in {"gap", "refine", "posterior"}
    else name
    for name in CALLS
]
