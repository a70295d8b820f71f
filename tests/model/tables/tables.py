"""Small tables, and models of them, that the tests of tables share."""

from typing import Any

import numpy as np
import torch

from model.config import FORMAT_VERSION, Config
from model.tables.fitting import fit_marginals
from model.tables.marginals import Marginals
from model.tables.missing_sets import MissingSet
from model.tables.schema import Codes, Kind, TableColumn, TableSchema
from model.vae import VAE, initial_vae

NUMBERS: tuple[Kind, ...] = ("numeric", "real", "student", "lognormal", "count")


def number(name: str, kind: Kind = "numeric", resolution: float = 1.0) -> TableColumn:
    """Return a column of numbers."""
    return TableColumn(name=name, kind=kind, resolution=resolution)


def levels(name: str, kind: Kind, *categories: Any) -> TableColumn:
    """Return a column of categories."""
    return TableColumn(name=name, kind=kind, categories=categories)


def fitted(columns: tuple[TableColumn, ...], codes: Codes) -> Marginals:
    """Return the marginals of columns, fitted to codes, (N, C)."""
    found = fit_marginals(TableSchema(columns=columns), codes, seed=0)
    marginals = Marginals(found.schema)
    marginals.set(found.knots, found.masses, found.shares)
    return marginals


def config(schema: TableSchema, *, latent_dim: int, hidden: int = 6) -> Config:
    """Return the configuration of a small model of a table."""
    network = {"kind": "mlp", "hidden": (hidden,), "activation": "tanh"}
    return Config.model_validate(
        {
            "format_version": FORMAT_VERSION,
            "data_shape": (len(schema.columns),),
            "latent_dim": latent_dim,
            "likelihood": {"kind": "table", "sigma_floor": None},
            "encoder": network,
            "decoder": dict(network),
            "data": {
                "name": "tiny",
                "divided_by": 1.0,
                "binarization": "none",
                "standardized": False,
                "columns": schema.names,
            },
            "table": schema,
        }
    )


def model(
    columns: tuple[TableColumn, ...],
    codes: Codes,
    *,
    latent_dim: int = 2,
    missing: tuple[MissingSet, ...] = (),
) -> VAE:
    """
    Return a model whose every weight is random, with the marginals of codes.

    Args:
        missing: The columns that can be missing in draws.
    """
    marginals = fitted(columns, codes)
    plain = config(marginals.layout.schema, latent_dim=latent_dim)
    described = Config.model_validate({**dict(plain), "missing": missing})
    vae = initial_vae(described, seed=0)
    assert vae.marginals is not None
    vae.marginals.load_state_dict(marginals.state_dict())
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.normal_(std=0.5, generator=generator)
    return vae.requires_grad_(False).eval()


def mixed_codes(n: int = 400, seed: int = 0) -> Codes:
    """Return rows of amounts with many zeros, a rounded size, and two categories."""
    draw = np.random.default_rng(seed)
    group = draw.integers(0, 3, n)
    amount = np.where(draw.random(n) < 0.4, 0.0, np.round(draw.lognormal(3, 1, n)))
    size = np.round(draw.normal(10.0 * group, 1.5), 1)
    flag = (draw.random(n) < 0.2 + 0.3 * group).astype(float)
    codes = np.stack([amount, size, group.astype(float), flag], axis=1)
    codes[draw.random(codes.shape) < 0.1] = np.nan
    return codes


MIXED = (
    number("amount"),
    number("size", resolution=0.1),
    levels("group", "categorical", "a", "b", "c"),
    levels("flag", "binary", False, True),
)

MISSING = (
    MissingSet(
        columns=("group", "flag"),
        patterns=((), ("group", "flag"), ("flag",)),
        given="amount",
        cuts=(0.0,),
    ),
    MissingSet(columns=("size",), patterns=((), ("size",))),
)
