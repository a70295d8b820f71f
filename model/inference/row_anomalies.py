"""How unusual rows are: their scores, ranked among those of held-out rows."""

from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from model.checkpoint.held_out import Calibration, Scores
from model.inference.anomaly import p_values, surprise
from model.inference.blame import Blame, blame
from model.inference.columns import (
    Anomalies,
    Column,
    TableAnomalies,
    column,
    columns_by_name,
    optional_column,
)
from model.inference.estimate import Estimate
from model.inference.proposals import encode_wide
from model.noise import Stream
from model.row_noise import RowNoise
from model.tables.marginals import Marginals
from model.tables.tails import extremeness, log_shares, tail_p_values
from model.vae import VAE

SCORE, RATIO, FARTHEST = "negative_elbo", "ratio", "farthest_cell"


class HeldOutScores(NamedTuple):
    """
    The scores of held-out rows that others are ranked among.

    Attributes:
        negative_elbo: -ELBO from `n_samples` draws of z.
        n_samples: K.
        ratio: -ELBO + sum_j log p(x_j) of rows of a table, from the same draws.
        farthest_cell: The largest of a row's cells in `extremeness`.
    """

    negative_elbo: Scores
    n_samples: int
    ratio: Scores | None
    farthest_cell: Scores | None

    @classmethod
    def of(cls, calibration: Calibration | None) -> Self | None:
        """Return those of a checkpoint, None if it has no negative ELBOs."""
        scores = {} if calibration is None else calibration.scores
        score, ratio = scores.get(SCORE), scores.get(RATIO)
        if score is None or (n_samples := score.settings.n_samples) is None:
            return None
        if ratio is not None and ratio.settings.n_samples != n_samples:
            ratio = None
        return cls(score, n_samples, ratio, scores.get(FARTHEST))


@torch.no_grad()
def anomalies(
    vae: VAE, x: Tensor, held_out: HeldOutScores, *, seed: int, first: int = 0
) -> Anomalies:
    """
    Score each example by -ELBO with the K of the held-out scores, and rank it.

    Rows of a table also get a `ratio` and what is said of their cells; see
    `TableAnomalies`.
    """
    rows = torch.arange(len(x), device=x.device)
    noise = RowNoise.at(rows + first, seed=seed, stream=Stream.ANOMALY)
    eps = noise.normal(held_out.n_samples, vae.config.latent_dim).transpose(0, 1)
    surprised = surprise(vae, x, eps=eps.to(x.dtype))
    q_z = encode_wide(vae, x)
    z = q_z.reparameterize(eps)
    total = surprised.per_dim.sum(dim=1, dtype=torch.float64)
    score = (total + vae.p_z.kl(q_z, z)).cpu().numpy() - vae.log_jacobian
    per_draw = surprised.per_draw + vae.p_z.kl_per_draw(q_z, z)  # (K, N)
    ranks = p_values(score, held_out.negative_elbo.values)
    found = Anomalies(
        negative_elbo=score,
        negative_elbo_standard_error=optional_column(
            None
            if held_out.n_samples == 1
            else Estimate.mean(per_draw.T).standard_error
        ),
        p_value_upper=ranks.upper,
        p_value_lower=ranks.lower,
        p_value_two_sided=ranks.two_sided,
        surprise_per_dim=column(surprised.per_dim)
        if vae.units is None
        else column(surprised.per_dim) + vae.units.log_scale,
    )
    if vae.marginals is None:
        return found
    blamed = blame(vae, x, seed=seed, first=first)
    return _of_table(found, vae.marginals, x, held_out, blamed)


def _of_table(
    found: Anomalies,
    marginals: Marginals,
    x: Tensor,
    held_out: HeldOutScores,
    blamed: Blame,
) -> TableAnomalies:
    """Add what the marginals of a table, and other cells, say of its rows."""
    ratio = found.negative_elbo + column(log_shares(x))
    tails = tail_p_values(marginals, x)
    far_out = column(extremeness(marginals, tails))
    of_ratio = _rank(ratio, held_out.ratio)
    of_tail = _rank(far_out.max(axis=1), held_out.farthest_cell)
    either = None
    if of_ratio is not None and of_tail is not None:
        either = np.minimum(1.0, 2 * np.minimum(of_ratio, of_tail))
    nats = column(blamed.nats)
    return TableAnomalies(
        **columns_by_name(found),
        ratio=ratio,
        ratio_p_value=of_ratio,
        tail_p_value=of_tail,
        p_value_either=either,
        tail_p_value_per_column=column(tails),
        blame=nats,
        blame_standard_error=column(blamed.standard_error),
        blame_order=_order(nats, far_out, held_out.farthest_cell),
    )


def _order(nats: Column, far_out: Column, held_out: Scores | None) -> Column:
    """
    Return the columns of each row, the one most to blame first, missing cells last.

    By blame - log p, with p the rank of a cell among the farthest cells of held-out
    rows: blame has little to say of a number that is out of range, because nothing is
    known of the others there. Without held-out cells by blame alone.

    Args:
        nats: Blame, NaN where missing, (N, C).
        far_out: `extremeness`, (N, C).
    """
    p = _rank(far_out, held_out)
    evidence = nats if p is None else nats - np.log(p)
    return np.argsort(-evidence, axis=1, kind="stable")  # NaN is last


def _rank(scores: Column, held_out: Scores | None) -> Column | None:
    """Return the p-values of high scores, None without held-out ones."""
    return None if held_out is None else p_values(scores, held_out.values).upper
