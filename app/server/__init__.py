"""The processes that serve: uvicorn, its workers and how they start."""
