"""The HTTP service: it loads one checkpoint and answers for it."""
