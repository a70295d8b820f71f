"""
A checkpoint in memory, and its operations on arrays of rows.

x goes in in the model's units, see `Engine.units`, and comes out in those of the data.

The result of a row depends on that row alone, bit for bit. Rows are computed in tiles
of at most `TILE` rows, padded to a height for which the engine has verified at start-up
that neither the other rows nor the position in the tile changes a bit. If there is no
such height, rows are computed one by one.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model import checkpoint
from model.checkpoint import Checkpoint
from model.distributions import DiagonalGaussian, Gaussian
from model.engine.arrays import (
    AnyArray,
    Array,
    CellArrays,
    Decoding,
    Encoding,
    Moments,
    RowScores,
)
from model.engine.backends import Backend, choose, choose_device
from model.engine.invariance import Tiling, independent_tiling, whole_vectors
from model.engine.probe import Probe, probe
from model.engine.torch_threads import use_threads
from model.prior import draw
from model.tables.likelihood import Table
from model.tables.parameters import cell_distributions

TILE = 128

_Rows = Callable[..., Sequence[Array]]


@final
class Engine:
    """
    One loaded model. Several threads may call it at the same time.

    Attributes:
        units: The data's units; None if the model computes in them.
        backend: The library that computes the layers.
        n_torch_threads: The threads that torch uses for one operation.
        batch_invariant: Whether the bits of a row were verified not to depend on the
            other rows.
    """

    def __init__(
        self, loaded: Checkpoint, *, device: str, backend: Backend, n_threads: int
    ) -> None:
        self.checkpoint, self.config = loaded, loaded.config
        self._device = choose_device(device)
        self._vae = loaded.vae.to(self._device)
        self.units = self._vae.units
        self._p_z = self._vae.p_z
        rows = probe(self._vae, TILE)
        self.backend, self._coder = choose(
            self._vae, backend, rows, n_threads=n_threads
        )
        self.n_torch_threads = torch.get_num_threads()  # as `choose` has set it
        proved = self._prove(rows)
        self.batch_invariant = None not in proved.values()
        self._tilings = {k: tiling or Tiling(TILE, 1) for k, tiling in proved.items()}

    @classmethod
    def load(
        cls, path: Path, *, device: str, backend: Backend, n_threads: int
    ) -> "Engine":
        """
        Load a checkpoint.

        Raises:
            CheckpointError: It is missing or damaged.
            EngineError: The device or the backend is not available.
        """
        loaded = checkpoint.load(path)
        return cls(loaded, device=device, backend=backend, n_threads=n_threads)

    @property
    def device(self) -> str:
        """The device that computes: cpu or cuda."""
        return self._device.type

    @property
    def kl_adds_up(self) -> bool:
        """Whether the KL is a sum over latent dimensions, as under N(0, I)."""
        return self.config.prior.kind == "standard_normal"

    @property
    def n_missing_sets(self) -> int:
        """B, the number of sets of columns that draws can lack."""
        return len(self.config.missing)

    @property
    def prior_moments(self) -> Moments:
        """Mean and standard deviation of the marginals of p(z)."""
        moments = self._p_z.moments(torch.device("cpu"))
        return Moments(moments.mu.numpy(), moments.sigma.numpy())

    def latents(
        self, n: int, *, seed: int, temperature: float, first: int = 0
    ) -> Array:
        """Draw z ~ p(z), (n, J); see `model.prior.draw`."""
        return draw(self._p_z, n, seed=seed, temperature=temperature, first=first)

    def prior_quantiles(
        self, dims: Sequence[int], levels: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return quantiles of the marginals p(z_j) of some dimensions, (J', Q)."""
        found = self._p_z.marginal(dims).quantiles(torch.from_numpy(levels))
        quantiles: NDArray[np.float64] = found.numpy()
        return quantiles

    @property
    def log_jacobian(self) -> float | None:
        """To add to log p(x) for data units, in nats; None without `units`."""
        return None if self.units is None else self.units.log_jacobian

    def in_model_units(self, x: AnyArray) -> Array:
        """Return x in data units, (N, D), in the model's units."""
        return self._vae.in_model_units(x)

    def encode(self, x: Array) -> Encoding:
        """Return mu and log sigma^2 of q(z|x) for x in the model's units, (N, D)."""
        return Encoding(*self._rows(self._encode, x))

    def decode(self, z: Array) -> Decoding:
        """Return the parameters of p(x|z) in data units for z, (N, J)."""
        found = Decoding(*self._rows(self._decode, z))
        if self.units is None or found.log_var is None:
            return found
        return Decoding(self.units.mean(found.mean), self.units.log_var(found.log_var))

    def cells(self, z: Array) -> CellArrays:
        """
        Return the distributions of a table's cells for z, (N, J).

        Raises:
            ValueError: The model is not of a table of mixed kinds.
        """
        return CellArrays(*self._rows(self._cells, z))

    def draw(self, z: Array, noise: Array) -> AnyArray:
        """
        Draw x ~ p(x|z) in data units for z, (N, J).

        Args:
            noise: Of the likelihood's kind, (N, D).
        """
        x = self._rows(self._draw, z, noise)[0]
        return x if self.units is None else self.units.mean(x)

    def draw_with_gaps(self, z: Array, noise: Array, gaps: Array) -> AnyArray:
        """
        Draw codes of a table as `draw` does, NaN where a cell is missing.

        Args:
            gaps: Uniform, (N, B), see `n_missing_sets`.
        """
        return self._rows(self._draw_with_gaps, z, noise, gaps)[0]

    def score(self, x: Array, eps: Array) -> RowScores:
        """
        Return the two terms of the ELBO in the model's units, without `log_jacobian`.

        Args:
            x: In the model's units, (N, D).
            eps: (N, K, J).
        """
        return RowScores(*self._rows(self._score, x, eps))

    def in_support(self, x: Array) -> NDArray[np.bool_]:
        """Return for each value whether it lies in the likelihood's support, (N, D)."""
        values = torch.from_numpy(_pad(x, len(x)))
        return self._vae.likelihood.in_support(values).numpy()

    def _encode(self, x: Array) -> Sequence[Array]:
        return self._coder.encode_rows(x)

    def _decode(self, z: Array) -> Sequence[Array]:
        p_x = self._coder.decode(self._tensor(z))
        if isinstance(p_x, Gaussian):
            return _arrays(p_x.mean, p_x.log_var)
        return _arrays(p_x.mean)

    def _cells(self, z: Array) -> Sequence[Array]:
        found = cell_distributions(self._table(z))
        return _arrays(*(one.contiguous() for one in found))

    def _draw(self, z: Array, noise: Array) -> Sequence[Array]:
        p_x = self._coder.decode(self._tensor(z))
        return _arrays(p_x.sample(self._tensor(noise)))

    def _draw_with_gaps(self, z: Array, noise: Array, gaps: Array) -> Sequence[Array]:
        p_x = self._table(z)
        codes = p_x.sample(self._tensor(noise))
        return _arrays(p_x.with_gaps(codes, self._tensor(gaps)))

    def _table(self, z: Array) -> Table:
        p_x = self._coder.decode(self._tensor(z))
        if not isinstance(p_x, Table):
            raise ValueError(f"expected p(x|z) of a table, got {p_x.kind}")
        return p_x

    def _score(self, x: Array, eps: Array) -> Sequence[Array]:
        data = self._tensor(x)
        q_z = self._coder.encode(data)
        mu, sigma = q_z.mu[:, None], q_z.sigma[:, None]
        # In pieces of K: for a large K, (N, K, D) values would not fit into memory.
        latents = [
            mu + sigma * piece
            for piece in torch.split(self._tensor(eps), max(1, TILE // len(x)), dim=1)
        ]
        log_likelihood = [self._log_likelihood(data, z) for z in latents]
        kl = self._p_z.kl_per_dim(q_z)
        if kl is None:
            one = DiagonalGaussian(mu, q_z.log_var[:, None])  # (N, 1, J)
            kl = torch.cat([self._p_z.kl_per_draw(one, z) for z in latents], dim=1)
        return _arrays(torch.cat(log_likelihood, dim=1), kl)

    def _log_likelihood(self, x: Tensor, z: Tensor) -> Tensor:
        """Return log p(x|z) of draws of z, (N, K, J), as (N, K)."""
        if self.config.table is None:
            return self._coder.decode(z).log_prob(x[:, None])
        # Cells of one row and several draws: as rows, one after the other, because
        # broadcasting computes them in vectors of another length, with other bits.
        n, k, _ = z.shape
        repeated = x[:, None].expand(n, k, -1).reshape(n * k, -1)
        return self._coder.decode(z.flatten(0, 1)).log_prob(repeated).reshape(n, k)

    def _tensor(self, values: Array) -> Tensor:
        """
        Return values on the device, in a thread that is ready for torch.

        The weights of a loaded checkpoint require no gradient, so autograd records
        nothing.
        """
        use_threads(self.n_torch_threads)
        return torch.from_numpy(values).to(self._device)

    def _rows(self, rows: _Rows, *arrays: Array) -> Sequence[Array]:
        """Apply a function of rows in the tiling that was verified for it."""
        return self._tiled(rows, self._tilings[rows.__name__], arrays)

    def _tiled(
        self, rows: _Rows, tiling: Tiling, arrays: Sequence[Array]
    ) -> Sequence[Array]:
        """Apply a function of rows to each tile, and concatenate the results."""
        n, (height, padding) = len(arrays[0]), tiling
        if n <= height:
            return self._tile(rows, padding, arrays)
        tiles = [
            self._tile(rows, padding, [a[start : start + height] for a in arrays])
            for start in range(0, n, height)
        ]
        return [np.concatenate(parts) for parts in zip(*tiles, strict=True)]

    def _tile(
        self, rows: _Rows, padding: int, arrays: Sequence[Array]
    ) -> Sequence[Array]:
        """Apply a function of rows to one tile, padded to a multiple of `padding`."""
        n = len(arrays[0])
        height = n + -n % padding
        results = rows(*[_pad(array, height) for array in arrays])
        return results if height == n else [result[:n] for result in results]

    def _prove(self, rows: Probe) -> dict[str, Tiling | None]:
        """Find a tiling for each operation in which rows are independent."""
        remainder = whole_vectors(rows.x.shape[1])
        inputs: dict[_Rows, tuple[int, tuple[Array, ...]]] = {
            self._encode: (1, (rows.x,)),
            self._decode: (remainder, (rows.z,)),
            self._draw: (remainder, (rows.z, rows.noise)),
            self._score: (remainder, (rows.x, rows.z[:, None])),  # eps, (N, 1, J)
        }
        if self.config.table is not None:
            inputs[self._cells] = (remainder, (rows.z,))
        if self.n_missing_sets:
            gaps = rows.noise[:, -self.n_missing_sets :]
            inputs[self._draw_with_gaps] = (remainder, (rows.z, rows.noise, gaps))
        return {
            operation.__name__: independent_tiling(
                partial(self._tiled, operation), arrays, at_least=at_least
            )
            for operation, (at_least, arrays) in inputs.items()
        }


def _pad(array: Array, height: int) -> Array:
    """Return a writeable, contiguous array of `height` rows, padded with zeros."""
    if len(array) == height and array.flags.writeable and array.flags.c_contiguous:
        return array
    found = np.zeros((height, *array.shape[1:]), np.float32)
    found[: len(array)] = array
    return found


def _arrays(*tensors: Tensor) -> Sequence[Array]:
    return [tensor.cpu().numpy() for tensor in tensors]
