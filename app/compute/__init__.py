"""Computes requests: the micro-batcher, and the thread for analyses."""
