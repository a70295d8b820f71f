"""
The analyses of the served model: from a slice of rows to columns of numpy arrays.

Torch always computes them, also where ONNX Runtime computes the other operations,
because they need gradients or float64. They run in threads of their own and share only
the weights with each other and the engine's thread; the weights never change. The
number of threads that torch uses is that of the engine.
"""

from dataclasses import replace
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from model.engine.arrays import Array, Mask
from model.engine.engine import Engine
from model.engine.torch_threads import use_threads
from model.inference import analyses
from model.inference.columns import (
    Anomalies,
    Bracketed,
    Column,
    Evidence,
    Gaps,
    Imputed,
    Posteriors,
    Refined,
    TableImputed,
)
from model.inference.effort import Effort
from model.inference.likelihood import log_joint
from model.inference.proposals import encode_wide
from model.inference.row_anomalies import HeldOutScores


@final
class NotFiniteError(ValueError):
    """The model's densities of the row `row` are not finite."""

    def __init__(self, row: int) -> None:
        super().__init__(f"the model's log p(x, z) of row {row} is not finite")
        self.row = row


@final
class Analyst:
    """
    Analyses of rows of x, (N, D). Any thread may call it; calls may `pause`.

    Every method computes the rows of a slice, and raises `NotFiniteError` if a density
    is not finite. Row i uses the noise of position `first` + i.
    """

    def __init__(self, engine: Engine) -> None:
        self._vae = engine.checkpoint.vae
        self._device = torch.device(engine.device)
        self._n_threads = engine.n_torch_threads

    def evidence(
        self, x: Array, rows: slice, effort: Effort, *, seed: int, first: int
    ) -> Evidence:
        """Bound log p(x) from below."""
        data = self._tensor(x, rows)
        first += rows.start
        return analyses.evidence(self._vae, data, effort, seed=seed, first=first)

    def bracket(
        self, x: Array, rows: slice, effort: Effort, *, seed: int, first: int
    ) -> Bracketed:
        """Bound log p(x) from below and above."""
        data = self._tensor(x, rows)
        first += rows.start
        return analyses.bracket(self._vae, data, effort, seed=seed, first=first)

    def refine(self, x: Array, rows: slice, *, seed: int, first: int) -> Refined:
        """Optimize q(z|x) for each row separately."""
        data = self._tensor(x, rows)
        return analyses.refine(self._vae, data, seed=seed, first=first + rows.start)

    def gaps(
        self,
        x: Array,
        rows: slice,
        *,
        target: float,
        budget: int,
        seed: int,
        first: int,
    ) -> Gaps:
        """Split log p(x) - ELBO into the approximation and the amortization gap."""
        return analyses.gaps(
            self._vae,
            self._tensor(x, rows),
            target=target,
            budget=budget,
            seed=seed,
            first=first + rows.start,
        )

    def posteriors(self, x: Array, rows: slice) -> Posteriors:
        """Compute p(z|x) by integration over one or two latent dimensions."""
        return analyses.posteriors(self._vae, self._tensor(x, rows))

    def anomalies(
        self, x: Array, rows: slice, held_out: HeldOutScores, *, seed: int, first: int
    ) -> Anomalies:
        """Compute anomaly scores, and rank them among those of held-out rows."""
        data = self._tensor(x, rows)
        first += rows.start
        found = analyses.anomalies(self._vae, data, held_out, seed=seed, first=first)
        _check_finite(found.negative_elbo, rows)
        return found

    def impute(
        self,
        x: Array,
        known: Mask,
        rows: slice,
        *,
        sent: NDArray[np.float64] | None,
        n_draws: int,
        n_samples: int,
        seed: int,
        first: int,
        level: float,
    ) -> Imputed:
        """
        Impute missing values; the other arguments are those of `analyses.impute`.

        Args:
            known: True where x is observed, (N, D).
            sent: x in data units, (N, D), if the model's units are others: observed
                values are returned as they were sent. Of a table it is needed.
        """
        data = self._values(x, rows)
        mask = torch.from_numpy(known[rows]).to(self._device)
        self._check_observed(data, mask, rows)
        found = analyses.impute(
            self._vae,
            data,
            mask,
            n_draws=n_draws,
            n_samples=n_samples,
            seed=seed,
            first=first + rows.start,
            level=level,
        )
        _check_finite(found.log_p_observed, rows)
        if sent is None:
            return found
        return _as_sent(found, known[rows], sent[rows])

    @torch.no_grad()
    def _check_observed(self, x: Tensor, mask: Tensor, rows: slice) -> None:
        """Check that the density of the observed x is finite at the prior's mean."""
        z = self._vae.p_z.moments(x.device).mu.expand(len(x), -1)
        known = self._vae.observed_part(x, mask)
        _check_finite(log_joint(self._vae, known, z, mask).cpu().numpy(), rows)

    @torch.no_grad()
    def _tensor(self, x: Array, rows: slice) -> Tensor:
        """Return rows on the device, and check that their densities are finite."""
        data = self._values(x, rows)
        q_z = encode_wide(self._vae, data)
        is_finite = self._vae.log_joint(data, q_z.mu).isfinite()
        is_finite &= q_z.log_var.isfinite().all(dim=1)
        if not is_finite.all():
            raise NotFiniteError(rows.start + int(torch.nonzero(~is_finite)[0]))
        return data

    def _values(self, x: Array, rows: slice) -> Tensor:
        """Return rows on the device, in a thread that is ready for torch."""
        use_threads(self._n_threads)
        return torch.from_numpy(np.array(x[rows])).to(self._device)


def _as_sent(found: Imputed, known: Mask, sent: NDArray[np.float64]) -> Imputed:
    """Return the result with the known values as they were sent."""
    found = replace(
        found,
        mean=np.where(known, sent, found.mean),
        samples=np.where(known[:, None], sent[:, None], found.samples),
    )
    if not isinstance(found, TableImputed):
        return found
    return replace(
        found,
        interval_low=np.where(known, sent, found.interval_low),
        interval_high=np.where(known, sent, found.interval_high),
    )


def _check_finite(values: Column, rows: slice) -> None:
    is_finite = np.isfinite(values)
    if not is_finite.all():
        raise NotFiniteError(rows.start + int(np.argmin(is_finite)))
