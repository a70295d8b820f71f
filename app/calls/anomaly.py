"""POST /anomaly: how unusual x is, by its rank among held-out rows."""

from typing import Annotated

from pydantic import Field

from app.call_parts.analysis import (
    AnalysisOptions,
    AnalysisResponse,
    analyze,
    arrays_of,
    read,
)
from app.call_parts.call import post
from app.call_parts.examples import SEED, Bodies, ExampleValues, with_x
from app.call_parts.fields import Numbers, Values
from app.call_parts.formats import BY_ROW, DATA
from app.call_parts.row_output import RowOutput, check_orient
from app.call_parts.served_model import ServedModel
from app.call_parts.shapes import (
    InputRows,
    OnlyIf,
    Shape,
    data_shape,
    has_cells,
    max_analyzed_rows,
    max_rows,
)
from app.errors import Fault, UnprocessableError
from app.http.request import Request
from app.http.response import Response
from app.wire.negotiation import Format
from model.checkpoint import Checkpoint
from model.data_config import Binarization
from model.inference import analyses
from model.inference.row_anomalies import SCORE, HeldOutScores
from model.option_values import Binarize

# The option `binarize` that corresponds to how the held-out rows were binarized.
_SAME: dict[Binarization, Binarize | None] = {
    "none": None,
    "threshold": "threshold",
    "static": "sample",
    "dynamic": "sample",
}


class AnomalyOptions(AnalysisOptions, RowOutput):
    """The options of `/anomaly`."""

    binarize: Annotated[
        Binarize | None,
        Field(
            description="As in `/elbo`, for gray x. It must be the way in which the "
            "held-out rows were binarized."
        ),
    ] = None


class AnomalyRequest(AnomalyOptions):
    """Data in the likelihood's support."""

    x: Annotated[Numbers, InputRows(data_shape, max_analyzed_rows)]


class AnomalyResponse(AnalysisResponse):
    """How unusual each row is, compared with rows held out of training."""

    negative_elbo: Annotated[
        Values,
        Field(description="The score: -ELBO in nats, with n_samples draws of z, [N]."),
    ]
    negative_elbo_standard_error: Annotated[
        Values | None,
        Field(
            description="Its standard error, from the spread of the K draws, [N]. "
            "Null for K = 1, which has no spread."
        ),
    ]
    p_value_upper: Annotated[
        Values,
        Field(
            description="(1 + the number of held-out scores that are at least as high) "
            "/ (n_calibration + 1): small if the row is less likely than they are, [N]."
        ),
    ]
    p_value_lower: Annotated[
        Values,
        Field(
            description="The same with scores that are at most as high: small if the "
            "row is suspiciously likely, [N]."
        ),
    ]
    p_value_two_sided: Annotated[
        Values, Field(description="Twice the smaller of the two, at most 1, [N].")
    ]
    ratio: Annotated[
        Values,
        Field(
            description="-ELBO + sum_j log p(x_j) over the known cells, with p(x_j) "
            "their marginals: how many nats less likely the row is than its cells one "
            "by one, [N]. Its standard error is that of negative_elbo."
        ),
        OnlyIf(has_cells),
    ]
    ratio_p_value: Annotated[
        Values | None,
        Field(
            description="Small if the ratio is higher than most held-out ones: the "
            "cells are possible, but not together, [N]. Null where the checkpoint has "
            "no held-out ratios."
        ),
        OnlyIf(has_cells),
    ]
    tail_p_value: Annotated[
        Values | None,
        Field(
            description="Small if a cell is farther out in its column than the "
            "farthest cells of most held-out rows, [N]. Null as ratio_p_value."
        ),
        OnlyIf(has_cells),
    ]
    p_value_either: Annotated[
        Values | None,
        Field(
            description="Twice the smaller of ratio_p_value and tail_p_value, at most "
            "1, [N]: call a row unusual where it is at most your level. Null as they."
        ),
        OnlyIf(has_cells),
    ]
    tail_p_value_per_column: Annotated[
        Numbers,
        Field(
            description="How far out in its column each cell is: of a number twice the "
            "smaller of P(X <= x) and P(X >= x), at most 1; of a category the share of "
            "all that are at most as frequent. Null for a missing cell, [N, D]."
        ),
        Shape(max_rows, data_shape, has_cells=False, may_be_null=True),
        OnlyIf(has_cells),
    ]
    blame: Annotated[
        Numbers,
        Field(
            description="log p(x_j) - log p(x_j | x_-j) in nats: above 0 for a cell "
            "that is less likely given the other known cells than by its column alone, "
            "at most 4.6. Null for a missing cell, [N, D]."
        ),
        Shape(max_rows, data_shape, has_cells=False, may_be_null=True),
        OnlyIf(has_cells),
    ]
    blame_standard_error: Annotated[
        Numbers,
        Field(
            description="Of the blame, too small where several numbers of a row are "
            "out of range; null for a missing cell, [N, D]."
        ),
        Shape(max_rows, data_shape, has_cells=False, may_be_null=True),
        OnlyIf(has_cells),
    ]
    blame_order: Annotated[
        list[list[int]],
        Field(
            description="Positions in `columns`, the column most to blame first, by "
            "blame and by how far out the cell is; missing cells are last, [N, D]."
        ),
        OnlyIf(has_cells),
    ]
    surprise_per_dim: Annotated[
        Numbers,
        Field(
            description="E_q[-log p(x_d|z)]: how much each value of x contributes to "
            "the score, which is their sum plus KL(q(z|x) || p(z)); a missing cell 0, "
            "[N, *data_shape]."
        ),
        Shape(max_rows, data_shape, has_cells=False),
    ]
    columns: Annotated[
        tuple[str, ...] | None,
        Field(
            description="The names of the values in surprise_per_dim, in their order; "
            "null if they have none. A JSON array in the metadata of safetensors."
        ),
    ]
    n_samples: Annotated[int, Field(description="K, as for the held-out scores.")]
    n_calibration: Annotated[
        int,
        Field(
            description="The number of held-out scores. No p-value is below "
            "1 / (n_calibration + 1)."
        ),
    ]
    split: Annotated[str, Field(description="The split that they come from.")]
    binarization: Annotated[str, Field(description="How they were binarized.")]
    why_null: Annotated[
        str | None,
        Field(
            description="Why the p-values of a table are null; null where they are not."
        ),
        OnlyIf(has_cells),
    ]


def _examples(values: ExampleValues) -> Bodies:
    return with_x(values, seed=SEED)


def _why_not(checkpoint: Checkpoint) -> str:
    if HeldOutScores.of(checkpoint.calibration) is not None:
        return ""
    return (
        f"expected a checkpoint with held-out scores ({SCORE}), this one has none; "
        "training writes them"
    )


@post(
    "/anomaly",
    summary="How unusual x is: its rank among held-out rows",
    request=AnomalyRequest,
    options=AnomalyOptions,
    response=AnomalyResponse,
    reads=DATA,
    writes=BY_ROW,
    room="analyses",
    tag="analyses",
    examples=_examples,
    why_not=_why_not,
)
async def anomaly(model: ServedModel, request: Request, format_: Format) -> Response:
    """
    Return how unusual each row is, by its rank among rows held out of training.

    A score alone says little: is -ELBO = 95 nats a lot? So it is ranked among the
    scores of rows that were not used in training, which are stored in the checkpoint.
    The rank gives a p-value: if the row comes from the same distribution as the
    held-out rows (is exchangeable with them), a p-value of at most 0.01 occurs for one
    row in a hundred. `p_value_upper` is small for rows that are unlikely under the
    model, and `surprise_per_dim` shows which of their values are unexpected. Do not
    rely on that side alone: data of another kind may be more likely than the training
    data if they are simpler, such as an image of one color (Nalisnick et al. 2019).
    `p_value_lower` is small for those, `p_value_two_sided` for both. A large p-value
    does not prove that a row is normal, because it tests only this one score. If many
    normal rows are tested at 0.01, one in a hundred is reported. A checkpoint without
    held-out scores is refused (422).
    """
    inputs = await read(model, request, AnomalyOptions)
    check_orient(model, inputs.options, format_)
    held_out = HeldOutScores.of(model.checkpoint.calibration)
    if held_out is None:
        raise UnprocessableError(Fault("", _why_not(model.checkpoint)))
    settings, config = held_out.negative_elbo.settings, model.config
    _check_same(inputs.options.binarize, settings.binarization)
    of_table = {} if config.table is None else {"why_null": _why_null(held_out)}
    arrays = arrays_of(AnomalyResponse).per_column
    n_arrays = 1 if config.table is None else len((*arrays, "blame_order"))
    model.check_output(len(inputs.x.values), n_arrays * config.data_dim)
    return await analyze(
        model,
        inputs,
        format_,
        lambda x, rows: model.analyst.anomalies(
            x, rows, held_out, seed=inputs.seed, first=inputs.options.first
        ),
        response=AnomalyResponse,
        draws=held_out.n_samples + analyses.n_draws_to_blame(config),
        scalars={
            "columns": config.data.columns,
            "n_samples": held_out.n_samples,
            "n_calibration": len(held_out.negative_elbo.values),
            "split": settings.split,
            "binarization": settings.binarization,
            **of_table,
        },
    )


def _why_null(held_out: HeldOutScores) -> str | None:
    if held_out.ratio is not None and held_out.farthest_cell is not None:
        return None
    return (
        "this checkpoint was trained before held-out ratios and tails were stored; "
        "train it again to have their p-values"
    )


def _check_same(binarize: Binarize | None, held_out: Binarization) -> None:
    """Refuse to binarize differently from held-out rows: ranks would be wrong."""
    if binarize is not None and binarize != _SAME[held_out]:
        what = (
            f"expected {_SAME[held_out] or 'none'}, as the held-out rows were "
            f"binarized ({held_out}), got {binarize}"
        )
        raise UnprocessableError(Fault("/binarize", what))
