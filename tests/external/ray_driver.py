"""
Run Ray for a test: `ray_driver.py PORT` in the environment that has Ray.

It serves the checkpoint of VAE_CHECKPOINT and answers lines on standard input, each
with one line: `replicas` (how many run), `kill` (one of them), `refused PATH` (why that
checkpoint cannot be served), `encode CHECKPOINT OUT FILE...` (with Ray Data), and
`codes OUT NPZ` (what that has written).
"""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable

import numpy as np
import pyarrow.parquet
import ray
from ray import serve
from ray.serve.config import HTTPOptions

from deploy.ray import encode
from deploy.ray.service import RayOptions, app

NAME = "vae"


def replicas() -> int:
    """Return how many replicas run."""
    state = serve.status().applications[NAME].deployments["vae"].replica_states
    return int(state.get("RUNNING", 0))


def kill() -> str:
    """Kill the process of a replica."""
    actors = ray.util.list_named_actors(all_namespaces=True)
    found = [a for a in actors if a["name"].startswith(f"SERVE_REPLICA::{NAME}#")]
    actor = ray.get_actor(found[0]["name"], namespace=found[0]["namespace"])
    ray.kill(actor, no_restart=False)
    return str(found[0]["name"])


def refused(path: str) -> str:
    """Return why a checkpoint cannot be served."""
    os.environ["VAE_CHECKPOINT"] = path
    try:
        serve.run(app(RayOptions(num_cpus=0.1)), name="bad", route_prefix="/bad")
    except RuntimeError:
        status = serve.status().applications["bad"].deployments["vae"]
        return " ".join(status.message.split())
    finally:
        serve.delete("bad")
    return "it is served"


def codes(folder: str, file: str) -> str:
    """Write codes from Parquet, in the order of the files, as one .npz."""
    table = pyarrow.parquet.read_table(folder).sort_by(
        [("path", "ascending"), ("row", "ascending")]
    )
    mu, log_var = (
        np.array(table[name].to_pylist(), np.float32) for name in ("mu", "log_var")
    )
    np.savez(file, mu=mu, log_var=log_var)
    return file


COMMANDS: dict[str, Callable[..., object]] = {
    "codes": codes,
    "replicas": replicas,
    "kill": kill,
    "refused": refused,
}


def main(port: int) -> None:
    """Serve, and answer commands until the end of standard input."""
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # a short path, for sockets
    try:
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=300 << 20,
            logging_level="warning",
            _temp_dir=folder,
        )
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        options = RayOptions(
            max_replicas=2, num_cpus=0.5, target_ongoing_requests=2, upscale_delay_s=1
        )
        serve.run(app(options), name=NAME)
        say("serving")
        for line in sys.stdin:
            command, *words = line.split()
            if command == "encode":
                say(encode.main([*words, "--actors", "1"]))
            else:
                say(COMMANDS[command](*words))
    finally:
        serve.shutdown()
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def say(answer: object) -> None:
    """Answer in one line, after what Ray prints."""
    sys.stdout.write(f"\nanswer: {answer}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
