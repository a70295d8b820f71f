"""Checkpoints that are stored elsewhere: URLs, what is behind them, copies here."""
