"""Copies a checkpoint that is behind a URL, before the service starts."""

from importlib import import_module
from pathlib import Path

from app.server.startup import StartError
from app.settings import Settings


def with_checkpoint_here(settings: Settings) -> Settings:
    """
    Copy a checkpoint that is behind a URL; return settings whose limits fit it.

    Default limits depend on the size of the weights, which is known after the copy.

    Raises:
        StartError: The checkpoint cannot be copied.
    """
    if isinstance(settings.checkpoint, Path):
        return settings
    copies = import_module("model.remote.copies")  # only here: a start must be fast
    try:
        copies.local_checkpoint(settings.checkpoint, settings.checkpoint_cache)
    except ValueError as error:
        raise StartError(str(error)) from error
    given = {name: getattr(settings, name) for name in settings.model_fields_set}
    return Settings(**given)
