"""Metrics, access log, timings and traces."""
