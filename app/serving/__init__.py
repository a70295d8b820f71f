"""Loads a checkpoint, binds it to the calls, and replaces it on reload."""
