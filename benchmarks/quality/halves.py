"""Part `imputation`: the lower halves of digits given the upper halves."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from benchmarks.quality.missing import log_prob_missing
from benchmarks.quality.statistics import mean
from benchmarks.quality.study import Study, chunks
from benchmarks.results import table
from model.inference import analyses, imputation, latents
from model.inference.effort import Effort
from model.noise import Stream, standard_normal
from model.vae import VAE

_N_ROWS = 1000
_ROWS = 20  # at once
_SEED = 0  # of all noise
_N_DRAWS = 1024  # the default of `/impute`
_N_RECONSTRUCTIONS = 100

Column = NDArray[np.float64]


def halves(study: Study) -> str:
    """Report how likely the true lower halves are under imputation and baselines."""
    x, index = study.rows(_N_ROWS)
    vae = study.model("aevb20").vae
    pixel_mean = _pixel_mean(study)
    observed = torch.arange(x.shape[1]).expand(x.shape) < x.shape[1] // 2
    parts: list[dict[str, Column]] = [
        _measured(vae, x[r], observed[r], pixel_mean, first=r.start)
        for r in chunks(len(x), _ROWS, "imputation")
    ]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    best = next(iter(found.values()))
    rows = [
        [
            name,
            mean(values).shown(),
            "" if values is best else mean(values - best).shown(),
        ]
        for name, values in found.items()
    ]
    return (
        f"-log p of the true lower half (14 rows of pixels) given the upper half, in "
        f"nats per image, lower is better, mean ± standard error: {len(index):,} test "
        "rows of MNIST at even distances, binarized once. 784-500, J = 20, training "
        f"seed {study.seeds[0]}; {_N_DRAWS:,} draws of z.\n\n"
        + table(["predictive", "nats", "more than the first"], rows)
    )


@torch.no_grad()
def _measured(
    vae: VAE, x: Tensor, observed: Tensor, pixel_mean: Tensor, *, first: int
) -> dict[str, Column]:
    """Return -log p(x_m) under each predictive, (N,) each."""
    with torch.enable_grad():
        given = latents.latents(
            vae, x, observed, n_draws=_N_DRAWS, seed=_SEED, first=first
        )
    imputed = imputation.impute(
        vae, x, observed, given, n_samples=1, seed=_SEED, first=first
    )
    q_z = vae.encode(torch.where(observed, x, pixel_mean))  # given mean-filled x
    noise = standard_normal(
        (_N_RECONSTRUCTIONS, len(x), vae.config.latent_dim),
        seed=_SEED,
        stream=Stream.LATENT,
        index=(first, 1),
    )
    reconstructed = vae.decode(q_z.reparameterize(torch.from_numpy(noise)))
    log_p = torch.where(observed, 0.0, reconstructed.log_prob_per_dim(x)).sum(
        dim=-1, dtype=torch.float64
    )
    joint = analyses.evidence(
        vae, x, Effort.adaptive(target=0.05, budget=4096), seed=_SEED, first=first
    ).log_p_x
    missing = ~observed
    return {
        "imputation, mean of p(x_m; z) over draws of z given x_o": (
            -log_prob_missing(vae, x, observed, given).numpy()
        ),
        "the same as log p(x_o) - log p(x), both importance-weighted": (
            given.log_p_observed.numpy() - joint
        ),
        "imputation, its mean image, pixels independent": _cross_entropy(
            imputed.mean, x, missing
        ),
        "mean-fill, encode, mean of p(x_m; z) over draws of q": -(
            torch.logsumexp(log_p, dim=0) - np.log(_N_RECONSTRUCTIONS)
        ).numpy(),
        "mean-fill, reconstruct: mean image at z = mu, as above": _cross_entropy(
            vae.decode(q_z.mu).mean, x, missing
        ),
        "mean of each pixel over training data": _cross_entropy(
            pixel_mean.expand(x.shape), x, missing
        ),
    }


def _cross_entropy(p: Tensor, x: Tensor, missing: Tensor) -> Column:
    """Return -sum_d log Bernoulli(x_d; p_d) over what is missing, (N,)."""
    per_dim = binary_cross_entropy(p.double(), x.double(), reduction="none")
    total: Column = torch.where(missing, per_dim, 0.0).sum(dim=1).numpy()
    return total


def _pixel_mean(study: Study) -> Tensor:
    """Return P(x_d = 1) over training rows, by the rule of succession, (784,)."""
    gray = study.mnist.train.x
    share = (gray.sum(axis=0, dtype=np.float64) + 1) / (len(gray) + 2)
    return torch.from_numpy(share.astype(np.float32))
