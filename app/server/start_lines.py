"""The lines that the service prints on standard output at start."""

from app.serving.loaded_model import LoadedModel
from app.settings import Settings
from app.version import service_version
from app.wire import doubles
from model.config import describe
from model.machine import available_memory

_SLOW_JSON = (
    "JSON is read by orjson, since pysimdjson is not installed; where there is a C++ "
    "compiler, `pip install pysimdjson` makes it four times as fast"
)


def about(loaded: LoadedModel, settings: Settings) -> list[str]:
    """Return lines about the model, the engine, the processes and the limits."""
    engine, config = loaded.model.engine, loaded.model.config
    keys = "off" if settings.api_keys_file is None else "on"
    version = f"vae-service {service_version()}"
    checkpoint = f"checkpoint {settings.checkpoint} (sha256 {loaded.version})"
    networks = f"encoder {describe(config.encoder)}, decoder {describe(config.decoder)}"
    shapes = f"x {list(config.data_shape)}, z [{config.latent_dim}]"
    compute = f"{engine.backend} on {engine.device}"
    memory = (
        f"memory {_mebibytes(available_memory())}; limits of a worker: "
        f"bodies {_mebibytes(settings.max_bodies_bytes)}, "
        f"rows {_mebibytes(settings.max_queue_bytes)}, "
        f"responses {_mebibytes(settings.max_responses_bytes)}, "
        f"connections {settings.max_connections}"
    )
    processes = f"threads {settings.threads}, workers {settings.workers}"
    lines = [
        f"{version}, {checkpoint}",
        f"{networks}, {config.likelihood.kind}, {shapes}",
        f"{compute}, {processes}, access keys {keys}",
        memory,
    ]
    return lines if doubles.HAS_SIMDJSON else [*lines, _SLOW_JSON]


def _mebibytes(n_bytes: int) -> str:
    return f"{n_bytes >> 20} MiB"
