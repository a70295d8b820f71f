"""Requests and responses for the calls: reading, writing, options and limits."""
