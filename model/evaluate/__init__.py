"""`python -m model.evaluate`: every measure of a checkpoint on rows of data."""
