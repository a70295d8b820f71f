"""
Compare the speed of a native network and of the same network adopted from ONNX.

    python -m benchmarks.adopted [--seconds 2 --repeats 7]

Both are served by this version, in turns on one core, as in `benchmarks.two_versions`:
"other" is the native one, "this" the adopted one.
"""

import argparse
import os
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import checkpoints
from benchmarks.processes import ROOT, cores
from benchmarks.same_responses import Server
from benchmarks.two_versions import CASES, compare
from model.adopt import AdoptOptions, adopt
from model.engine.onnx import decoder_model, encoder_model
from model.vae import VAE


def save_adopted(vae: VAE, folder: Path) -> Path:
    """Export a model's layers to ONNX, adopt them, and return the checkpoint."""
    paths = {}
    for name, proto in (
        ("encoder", encoder_model(vae)),
        ("decoder", decoder_model(vae)),
    ):
        paths[name] = folder / f"{name}.onnx"
        paths[name].write_bytes(proto.SerializeToString())
    likelihood = vae.config.likelihood.kind
    assert likelihood != "table"  # whose networks are none of another library
    options = AdoptOptions(
        encoder=paths["encoder"],
        decoder=paths["decoder"],
        likelihood=likelihood,
        out=folder / "adopted",
        encoder_outputs=("mu=0", "log_var=1"),
        decoder_outputs=("logits=0",),
        data_shape=vae.config.data_shape,
    )
    adopt(options, command=("benchmarks.adopted",))
    return options.out


def main() -> int:
    """Compare all cases; return the exit status."""
    parser = argparse.ArgumentParser(description="Compare native and adopted networks.")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one repetition")
    parser.add_argument("--case", action="append", help="only this one; repeatable")
    parser.add_argument("--repeats", type=int, default=7, help="of each case")
    options = parser.parse_args()
    server_core, load_core = cores()
    vae = checkpoints.digits()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        native = folder / "native"
        checkpoints.save(vae, native)
        adopted = save_adopted(vae, folder)
        os.sched_setaffinity(0, {server_core})  # the servers inherit it
        servers = []
        for path in (native, adopted):
            server = Server(ROOT, path, folder / f"{path.name}.log")
            stack.callback(server.close)
            server.signal(signal.SIGSTOP)
            servers.append(server)
        os.sched_setaffinity(0, {load_core})
        for case in CASES:
            if not options.case or case.name in options.case:
                compare(case, servers, vae, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
