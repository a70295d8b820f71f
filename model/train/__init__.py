"""The training module: `python -m model.train` turns data into a checkpoint."""
