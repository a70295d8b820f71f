"""Native models as models of graphs: the same function in another form."""

import numpy as np
import torch

from model.config import Config, OnnxGraph
from model.engine.onnx import decoder_model, encoder_model
from model.graph import Graphs, read, separate
from model.vae import VAE, empty


def as_graphs(vae: VAE) -> VAE:
    """Return a model whose networks are the graphs of those of a native one."""
    parts = [
        separate(read(build(vae).SerializeToString()))
        for build in (encoder_model, decoder_model)
    ]
    document = vae.config.model_dump()
    for name in ("encoder", "decoder"):
        document[name] = {"kind": "graph", "file": f"{name}.onnx"}
    config = Config.model_validate(document)
    assert isinstance(config.encoder, OnnxGraph)
    adopted = empty(config, Graphs(parts[0].graph, parts[1].graph))
    state = {
        f"{name}.graph.{weight}": torch.from_numpy(np.array(values))
        for name, part in zip(("encoder", "decoder"), parts, strict=True)
        for weight, values in part.weights.items()
    }
    prior = {k: v for k, v in vae.state_dict().items() if k.startswith("prior.")}
    adopted.load_state_dict({**state, **prior}, assign=True)
    return adopted.requires_grad_(False).eval()
