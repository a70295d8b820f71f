"""The server processes: uvicorn, workers, signals and start-up."""
