"""Whether x belongs to the model's data, over HTTP."""

from typing import final

from app.analysis.anomaly_schemas import AnomalyOptions
from app.analysis.requests import AnalysisRequests
from app.compute.operations import Binarize
from app.errors import Fault, UnprocessableError
from app.http.exchange import Request, Response
from model.checkpoint.held_out import Calibration, Scores
from model.config import Binarization
from model.engine.analyses import Analyst

SCORE = "negative_elbo"
# How a request has rows made binary in the way that held-out rows were.
_SAME: dict[Binarization, Binarize | None] = {
    "none": None,
    "threshold": "threshold",
    "static": "sample",
    "dynamic": "sample",
}


def usable(calibration: Calibration | None) -> Scores | None:
    """Return the held-out scores that `/anomaly` ranks by, if a checkpoint has any."""
    scores = None if calibration is None else calibration.scores.get(SCORE)
    return None if scores is None or scores.settings.n_samples is None else scores


@final
class AnomalyEndpoints:
    """`anomaly`, an answer to a request."""

    def __init__(self, requests: AnalysisRequests, analyst: Analyst) -> None:
        self._requests = requests
        self._analyst = analyst
        self._calibration = usable(requests.served.calibration)

    async def anomaly(self, request: Request) -> Response:
        """
        Answer whether each row belongs: how it ranks among rows held out of training.

        A score alone says little: is -ELBO = 95 nats a lot? So it is ranked among the
        scores of rows that training has not seen, which the checkpoint carries, and
        the rank is a p-value: if the row comes from where the held-out rows came from
        (is exchangeable with them), a p-value of at most 0.01 happens to one such row
        in a hundred. `p_value_upper` is small for rows that the model finds unlikely,
        and `surprise_per_dim` shows which of their values it did not expect. Do not
        rely on that side alone: data that do not belong at all may well be more likely
        than those that do, if they are simpler, such as an image of one colour
        (Nalisnick et al. 2019). `p_value_lower` is small for those, `p_value_two_sided`
        for both. A large p-value does not prove that a row belongs: only this one score
        was looked at. Of many rows tested at 0.01, one in a hundred is reported though
        all belong. A checkpoint without held-out scores is refused (422).
        """
        asked = await self._requests.read(request, AnomalyOptions)
        calibration = self._calibration
        if calibration is None or calibration.settings.n_samples is None:
            what = (
                f"expected a checkpoint with held-out scores ({SCORE}), this one has "
                "none; training writes them"
            )
            raise UnprocessableError(Fault("", what))
        settings = calibration.settings
        _check_same(asked.options.binarize, settings.binarization)
        config, n_samples = self._requests.served.config, calibration.settings.n_samples
        self._requests.check_output(len(asked.x.values), config.data_dim)
        return await self._requests.answer(
            asked,
            lambda x, rows: self._analyst.anomalies(
                x, rows, calibration, seed=asked.seed, first=asked.options.first
            ),
            draws=n_samples,
            scalars={
                "n_samples": n_samples,
                "n_calibration": len(calibration.values),
                "split": settings.split,
                "binarization": settings.binarization,
            },
            shaped=("surprise_per_dim",),
        )


def _check_same(asked: Binarize | None, held_out: Binarization) -> None:
    """Refuse to make rows binary as held-out rows were not: they would rank wrongly."""
    if asked is not None and asked != _SAME[held_out]:
        what = (
            f"expected {_SAME[held_out] or 'none'}, as the held-out rows were "
            f"binarised ({held_out}), got {asked}"
        )
        raise UnprocessableError(Fault("/binarize", what))
