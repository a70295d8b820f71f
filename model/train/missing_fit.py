"""
Fit p(m|z, x), which cells are missing, after training.

It is multinomial logistic regression on the last hidden layer of the trained decoder,
for z drawn from q(z|x) of whole training rows, from the shares of the patterns in their
groups on. The penalty is chosen by validation rows for each set of columns. No weight
of the trained model changes.
"""

from math import prod
from typing import NamedTuple, final

import numpy as np
import torch
from torch import Tensor

from model.config import Config
from model.data import Dataset
from model.data.preparation import Array, Prepared
from model.noise import Stream, generator, standard_normal
from model.tables.missing_cells import MissingCells
from model.tables.missing_sets import MissingSet
from model.tables.schema import Codes
from model.train.missing_structure import group_of, missing_sets, pattern_of
from model.train.optimizers import LBFGS
from model.vae import VAE, empty

_MAX_ROWS = 1 << 14
_MIN_ROWS, _MAX_VALUES = 1 << 9, 1 << 22  # of many sets with many patterns
_PAIRS, _MAX_DRAWS = 1 << 13, 8  # rows times draws of z
_AT_ONCE = 1 << 10  # rows
_PENALTIES = (0.1, 0.01, 0.001)
_STEPS = 60


@final
class _Rows(NamedTuple):
    """
    Rows to fit to, or to validate with.

    Attributes:
        h: The last hidden layer of the decoder, (R, H), float64.
        pattern: The pattern of each set, (R, B); -1 for one of no training row.
        log_share: Log shares of patterns in the row's groups, (R, B, K).
    """

    h: Tensor
    pattern: Tensor
    log_share: Tensor


def with_missing_cells(
    vae: VAE, dataset: Dataset, prepared: Prepared, *, seed: int
) -> VAE:
    """
    Return the model of a table with a head for missing cells.

    The model itself is returned if no training row lacks a cell.
    """
    schema = vae.config.table
    if schema is None:
        return vae
    sets = missing_sets(schema, dataset.train.x)
    if not sets:
        return vae
    cells = MissingCells(schema, sets, _width(vae.config))
    codes = dataset.train.x
    cells.log_share.copy_(_log_shares(cells, codes))
    train = _rows(vae, cells, prepared.train, codes, seed=seed, part=1)
    held_out = _rows(
        vae, cells, prepared.validation, dataset.validation.x, seed=seed, part=2
    )
    _fit(cells, train, held_out)
    return _joined(vae, sets, cells)


def _width(config: Config) -> int:
    """Return the width of the last hidden layer of the decoder."""
    assert config.decoder.kind == "mlp"  # noqa: S101  as `Config` checks for tables
    return (config.latent_dim, *config.decoder.hidden)[-1]


def _log_shares(cells: MissingCells, codes: Codes) -> Tensor:
    """
    Return log shares of patterns in groups, (B, G, K), 0 where there is no pattern.

    One row is added to each group, with the patterns in their shares of all rows.
    """
    schema, is_missing = cells.layout.schema, np.isnan(codes)
    n_sets, *size = cells.layout.shape
    counts = np.zeros((n_sets, *size))
    for b, one in enumerate(cells.layout.sets):
        pattern = pattern_of(one, schema, is_missing)
        place = group_of(one, schema, codes) * size[1] + pattern
        found = np.bincount(place[pattern >= 0], minlength=prod(size))
        counts[b] = found.reshape(size)
    of_all = counts.sum(axis=1, keepdims=True)
    counts += of_all / of_all.sum(axis=2, keepdims=True)
    share = counts / counts.sum(axis=2, keepdims=True)
    is_pattern = cells.layout.is_pattern[:, None]
    return torch.from_numpy(np.log(np.where(is_pattern, share, 1.0)))


@torch.no_grad()
def _rows(
    vae: VAE, cells: MissingCells, x: Array, codes: Codes, *, seed: int, part: int
) -> _Rows:
    """Return rows, with draws of z ~ q(z|x) for each; few rows have several draws."""
    most = min(_MAX_ROWS, max(_MIN_ROWS, _MAX_VALUES // cells.layout.is_pattern.size))
    if len(x) > most:
        draw = generator(seed, Stream.MISSING, part)
        index = np.sort(draw.choice(len(x), most, replace=False))
        x, codes = x[index], codes[index]
    n_draws = min(max(1, min(_PAIRS, most) // len(x)), _MAX_DRAWS)
    shape = (n_draws, len(x), vae.config.latent_dim)
    eps = standard_normal(shape, seed=seed, stream=Stream.MISSING, index=(part, 1))
    pattern, group = _cases(cells, codes)
    return _Rows(
        _hidden(vae, torch.from_numpy(np.asarray(x)), torch.from_numpy(eps)),
        pattern.repeat(n_draws, 1),
        cells.log_shares(group).repeat(n_draws, 1, 1),
    )


def _hidden(vae: VAE, x: Tensor, eps: Tensor) -> Tensor:
    """Return the last hidden layer for K draws of z for each row, (K N, H), float64."""
    device, parts = next(vae.parameters()).device, []
    pairs = zip(torch.split(x, _AT_ONCE), torch.split(eps, _AT_ONCE, 1), strict=True)
    for rows, noise in pairs:
        z = vae.encode(rows.to(device)).reparameterize(noise.to(device))
        parts.append(vae.decoder.torso(z.flatten(0, 1)).reshape(*z.shape[:2], -1))
    return torch.cat(parts, dim=1).flatten(0, 1).double().cpu()


def _cases(cells: MissingCells, codes: Codes) -> tuple[Tensor, Tensor]:
    """Return pattern and group of every set, (N, B) each."""
    schema, sets, is_missing = cells.layout.schema, cells.layout.sets, np.isnan(codes)
    pattern = [pattern_of(one, schema, is_missing) for one in sets]
    group = [group_of(one, schema, codes) for one in sets]
    one, other = (np.stack(each, axis=1) for each in (pattern, group))
    return torch.from_numpy(one), torch.from_numpy(other)


def _fit(cells: MissingCells, train: _Rows, held_out: _Rows) -> None:
    """Set the head: for each set, with the penalty that is best on held-out rows."""
    n_sets, n_patterns = cells.layout.is_pattern.shape
    shape = (n_sets, n_patterns, train.h.shape[1])
    weight = torch.zeros(shape, dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(shape[:2], dtype=torch.float64, requires_grad=True)
    found = [_copied(weight, bias)]  # without z: the shares
    for penalty in _PENALTIES:
        _minimize(train, weight, bias, penalty)
        found.append(_copied(weight, bias))
    with torch.no_grad():
        best = torch.stack([_losses(held_out, *one) for one in found]).argmin(dim=0)
        weights, biases = (torch.stack(each) for each in zip(*found, strict=True))
        sets, is_pattern = torch.arange(n_sets), cells.tensor("is_pattern")
        cells.head.weight.copy_(weights[best, sets][is_pattern])
        cells.head.bias.copy_(biases[best, sets][is_pattern])


def _minimize(train: _Rows, weight: Tensor, bias: Tensor, penalty: float) -> None:
    """Minimize the cross-entropy of all sets, and penalty / 2 times the squares."""
    optimizer = LBFGS([weight, bias], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        total = _losses(train, weight, bias).sum()
        total = total + 0.5 * penalty * weight.square().sum()
        total.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return total

    optimizer.step(loss)


def _losses(rows: _Rows, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the mean of -log p(pattern|z, group) of each set, (B,), in nats."""
    eta = (rows.h @ weight.flatten(0, 1).T + bias.flatten()).reshape(
        rows.log_share.shape
    )
    log_p = torch.log_softmax(rows.log_share + eta, dim=-1)
    is_known = rows.pattern >= 0
    found = torch.gather(log_p, 2, rows.pattern.clamp(min=0)[..., None])[..., 0]
    total = torch.where(is_known, found, 0.0).sum(dim=0)
    return -total / is_known.sum(dim=0).clamp(min=1)


def _copied(*tensors: Tensor) -> tuple[Tensor, ...]:
    return tuple(tensor.detach().clone() for tensor in tensors)


def _joined(vae: VAE, sets: tuple[MissingSet, ...], cells: MissingCells) -> VAE:
    """Return the model with the head."""
    config = Config.model_validate({**dict(vae.config), "missing": sets})
    found = empty(config)
    device = next(vae.parameters()).device
    head = {f"decoder.missing.{k}": w.to(device) for k, w in cells.state_dict().items()}
    found.load_state_dict({**vae.state_dict(), **head}, assign=True)
    return found.requires_grad_(False).eval()
