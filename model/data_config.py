"""The section of `config.json` on the training data and their preprocessing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from model.section import Section

Binarization = Literal["none", "static", "dynamic", "threshold"]
IntegerDtype = Literal[
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"
]
Divisors = dict[IntegerDtype, Annotated[float, Field(gt=0)]]
ColumnUnitName = Annotated[str, Field(min_length=1, max_length=40)]

# Pictures of 8 and of 16 bits per channel.
PIXELS: Mapping[IntegerDtype, float] = MappingProxyType(
    {"uint8": 255.0, "uint16": 65_535.0}
)


def _divisors(before: dict[str, Any]) -> Divisors:
    """Return the divisors that version 1 implies: those of pictures, or of bytes."""
    divided_by = before.get("divided_by", 1)
    if divided_by == PIXELS["uint8"]:
        return dict(PIXELS)
    return {} if divided_by == 1 else {"uint8": divided_by}


def _value_range(before: dict[str, Any]) -> tuple[float, float] | None:
    return None if before.get("divided_by", 1) == 1 else (0.0, 1.0)


class Data(Section):
    """
    The training data, and how they were preprocessed.

    Attributes:
        name: The data set.
        divided_by: Raw values were divided by this (255 for 8-bit images).
        divisors: What integers of a dtype are divided by: `{"uint8": 255}`. Those of
            other dtypes are x itself, as are booleans and floats. By default that of
            pictures, or of bytes, if `divided_by` says that there was a divisor.
        value_range: The smallest and the largest x that raw values of the training data
            can give; null if unknown. By default [0, 1] if raw values were divided.
        background: The x that replaces transparent pixels; null if these are refused.
        turned_gray: Whether pictures with colors are turned gray; if not, refused.
        columns: The names of the columns of a table; null if they have none.
        column_units: The unit that the cells of each column of a table had, null for
            numbers alone: "kg" for "82 kg". Not written if no column has one.
        binarization: How training binarized gray values.
        standardized: Whether the networks have units of their own, see
            `Config.has_units`. Densities served are in the data's units.
    """

    name: Annotated[str, Field(min_length=1, max_length=200)]
    divided_by: Annotated[float, Field(gt=0)]
    divisors: Divisors = Field(default_factory=_divisors)
    value_range: tuple[float, float] | None = Field(default_factory=_value_range)
    background: Annotated[float, Field(ge=0, le=1)] | None = None
    turned_gray: bool = False
    columns: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    column_units: tuple[ColumnUnitName | None, ...] | None = None
    binarization: Binarization
    standardized: bool

    @property
    def unit_words(self) -> dict[int, str]:
        """The unit of each column that has one, in words: {0: "weight in kg"}."""
        names = self.columns
        return {
            d: f"{names[d] if names else f'column {d + 1}'} in {unit}"
            for d, unit in enumerate(self.column_units or ())
            if unit is not None
        }

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.value_range is not None and self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range must ascend, got {list(self.value_range)}")
        if self.columns is not None and len(set(self.columns)) < len(self.columns):
            raise ValueError("columns must be distinct names")
        if self.column_units is not None and not any(self.column_units):
            raise ValueError("column_units must have a unit, or be null")
        return self

    @model_serializer(mode="wrap")
    def _without_absent_units(
        self, write: SerializerFunctionWrapHandler
    ) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        if self.column_units is None:  # so that files stay as they were before it
            written.pop("column_units", None)
        return written
