"""
Annotations for the sizes of arrays and numbers in requests and responses.

Sizes depend on the served model and the settings. So a field names them, as in
`Annotated[Numbers, Shape(max_rows, latent_shape)]`, and `resolve` fills in the numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import final

from pydantic import BaseModel

from app.call_parts import row_schemas
from app.call_parts.row_schemas import Json
from app.settings import Settings
from model.tables.parameters import level_names
from model.tables.schema import TableSchema


@final
@dataclass(frozen=True)
class Facts:
    """
    The facts about a model that the schemas depend on.

    Attributes:
        columns: The names of the columns of a table; () if they have none.
        has_images: Whether the data are images.
        likelihood: The kind of p(x|z).
        prior: The kind of p(z).
        table: What the cells of columns are; None for data of numbers alone.
        has_gaps: Whether rows that are drawn can have missing cells.
        x_range: The smallest and the largest number that x may be.
    """

    data_shape: tuple[int, ...]
    latent_dim: int
    likelihood: str
    prior: str
    has_images: bool
    columns: tuple[str, ...]
    table: TableSchema | None
    has_gaps: bool
    x_range: tuple[float, float]
    limits: Settings


Condition = Callable[[Facts], bool]
RowLimit = Callable[[Facts], int]
Axis = Callable[[Facts], tuple[int, ...]]


def has_images(facts: Facts) -> bool:
    """Return whether the data are images."""
    return facts.has_images


def has_columns(facts: Facts) -> bool:
    """Return whether the columns of a table have names."""
    return bool(facts.columns)


def has_log_var(facts: Facts) -> bool:
    """Return whether p(x|z) has a variance in addition to its mean."""
    return facts.likelihood == "gaussian"


def has_cells(facts: Facts) -> bool:
    """Return whether the data are cells of a table of mixed kinds."""
    return facts.table is not None


def has_gaps(facts: Facts) -> bool:
    """Return whether rows that are drawn can have missing cells."""
    return facts.has_gaps


def has_one_parameter(facts: Facts) -> bool:
    """Return whether p(x|z) is given by one array, its mean."""
    return not has_log_var(facts)


def has_standard_prior(facts: Facts) -> bool:
    """Return whether p(z) = N(0, I), so that the KL is a sum over dimensions."""
    return facts.prior == "standard_normal"


def max_rows(facts: Facts) -> int:
    """Return the most rows of a request."""
    return facts.limits.max_rows


def max_analyzed_rows(facts: Facts) -> int:
    """Return the most rows of a request for an analysis."""
    return min(facts.limits.max_rows, facts.limits.max_analysis_rows)


def max_decoded_rows(facts: Facts) -> int:
    """Return the most rows of data that a response may have."""
    limits = facts.limits
    return min(limits.max_rows, limits.max_output_values // prod(facts.data_shape))


def data_shape(facts: Facts) -> tuple[int, ...]:
    """Return the shape of one example."""
    return facts.data_shape


def has_levels(facts: Facts) -> bool:
    """Return whether columns of a table have categories without an order."""
    return levels_shape(facts) != (0,)


def levels_shape(facts: Facts) -> tuple[int, ...]:
    """Return the shape of the probabilities of one row of a table."""
    return (0 if facts.table is None else len(level_names(facts.table)),)


def latent_shape(facts: Facts) -> tuple[int, ...]:
    """Return the shape of one latent."""
    return (facts.latent_dim,)


class Marker(ABC):
    """An annotation of a field, which changes its schema."""

    @abstractmethod
    def apply(self, schema: Json, facts: Facts) -> Json | None:
        """Return the field's schema; None if the model has no such field."""


@final
@dataclass(frozen=True)
class Shape(Marker):
    """
    An array of a response, [rows, *axis].

    Attributes:
        stacked: Whether it is a list of such arrays.
        has_cells: Whether rows of data have cells by name, or a number for each column.
        may_be_null: Whether a number may be null.
        has_gaps: Whether it may be null if draws of the model have missing cells.
    """

    rows: RowLimit
    axis: Axis
    at_least: int = 1
    stacked: bool = False
    has_cells: bool = True
    may_be_null: bool = False
    has_gaps: bool = False

    def apply(self, schema: Json, facts: Facts) -> Json:
        number = row_schemas.NUMBER
        if self.may_be_null or (self.has_gaps and facts.has_gaps):
            number = row_schemas.nullable(number)
        rows = row_schemas.rows(
            self.axis(facts), self.rows(facts), self.at_least, number
        )
        table = facts.table if self.has_cells else None
        names: tuple[str, ...] = ()
        if self.axis is data_shape:
            names = facts.columns
        elif self.axis is levels_shape and facts.table is not None:
            names, table = level_names(facts.table), None
        if names:
            forms = row_schemas.forms(rows, names, table)
            forms = row_schemas.draws(forms) if self.stacked else forms
            return {**row_schemas.texts(schema), "oneOf": forms}
        return {**schema, **({"items": rows} if self.stacked else rows)}


@final
@dataclass(frozen=True)
class ShapeOrDraws(Marker):
    """An array of a response, [rows, *axis], or with draws [rows, K, *axis]."""

    rows: RowLimit
    axis: Axis

    def apply(self, schema: Json, facts: Facts) -> Json:
        rows = row_schemas.rows(self.axis(facts), self.rows(facts), 1)
        forms = [rows]
        if facts.columns and self.axis is data_shape:
            forms = row_schemas.forms(rows, facts.columns, facts.table)
        return {
            **row_schemas.texts(schema),
            "oneOf": [*forms, *row_schemas.draws(forms)],
        }


@final
@dataclass(frozen=True)
class InputRows(Marker):
    """
    An array of a request: rows of data, each flat or in its shape, or of latents.

    Attributes:
        exactly: The number of rows, if it is fixed.
        has_codes: Whether rows of a table are codes, null for a missing cell.
        has_gaps: Whether null is a missing value of rows by name.
    """

    axis: Axis
    rows: RowLimit = max_rows
    exactly: int | None = None
    has_codes: bool = True
    has_gaps: bool = False

    def apply(self, schema: Json, facts: Facts) -> Json:
        shape = self.axis(facts)
        accepted = [shape] if len(shape) == 1 else [(prod(shape),), shape]
        at_least, at_most = self.exactly or 1, self.exactly or self.rows(facts)
        table = facts.table if self.has_codes else None
        number = row_schemas.FLOAT32
        if self.axis is data_shape:
            number = row_schemas.within(*facts.x_range)
            number = number if table is None else row_schemas.nullable(number)
        forms = [row_schemas.rows(one, at_most, at_least, number) for one in accepted]
        if facts.columns and self.axis is data_shape:
            named = row_schemas.nullable(number) if self.has_gaps else number
            forms = row_schemas.forms(forms[0], facts.columns, table, named)
        n = self.exactly or "N"
        data = f"Rows of data, [{n}, *data_shape] or flat, [{n}, D]."
        return {
            "description": data if self.axis is data_shape else f"Latents, [{n}, J].",
            **row_schemas.texts(schema),
            **(forms[0] if len(forms) == 1 else {"oneOf": forms}),
        }


@final
@dataclass(frozen=True)
class AtMost(Marker):
    """An integer up to a limit."""

    limit: Callable[[Facts], int]

    def apply(self, schema: Json, facts: Facts) -> Json:
        for one in schema.get("anyOf", [schema]):  # one of them may be null
            if one.get("type") == "integer":
                one["maximum"] = self.limit(facts)
        return schema


@final
@dataclass(frozen=True)
class OnlyIf(Marker):
    """A field that is present only with some models."""

    condition: Condition

    def apply(self, schema: Json, facts: Facts) -> Json | None:
        return schema if self.condition(facts) else None


@final
@dataclass(frozen=True)
class OnRequest(Marker):
    """An array of a response that an option asks for."""

    def apply(self, schema: Json, facts: Facts) -> Json:
        return schema


@final
@dataclass(frozen=True)
class OptionalIf(Marker):
    """A member that a body may leave out with some models."""

    condition: Condition

    def apply(self, schema: Json, facts: Facts) -> Json:
        return schema


def may_be_left_out(model: type[BaseModel], facts: Facts) -> set[str]:
    """Return the members that a body may leave out with a model."""
    return {
        name
        for name, field in model.model_fields.items()
        for marker in field.metadata
        if isinstance(marker, OptionalIf) and marker.condition(facts)
    }


def resolve(model: type[BaseModel], properties: Json, facts: Facts) -> None:
    """Fill in the sizes of a served model in the properties of a schema."""
    for name, field in model.model_fields.items():
        for marker in field.metadata:
            if isinstance(marker, Marker) and name in properties:
                found = marker.apply(properties[name], facts)
                if found is None:
                    del properties[name]
                else:
                    properties[name] = found
