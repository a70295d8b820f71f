"""The formats that several calls read or write."""

from app.call_parts.call import Offers, When
from app.call_parts.shapes import Facts, has_columns, has_images
from app.wire.negotiation import CSV, JPEG, JSON, NPY, PARQUET, PNG, SAFETENSORS
from app.wire.parquet.installed import is_installed


def has_parquet(facts: Facts) -> bool:
    """Return whether rows of a table with names may be Parquet too."""
    return has_columns(facts) and is_installed()


# Both
TABLE: Offers = (When(has_columns, CSV), When(has_parquet, PARQUET))

# Read
ONE_ARRAY: Offers = (JSON, SAFETENSORS, NPY)
NAMED_ARRAYS: Offers = (JSON, SAFETENSORS)
OPTIONS_ONLY: Offers = (JSON,)
DATA: Offers = (*ONE_ARRAY, *TABLE)
DATA_OR_IMAGES: Offers = (*DATA, When(has_images, PNG), When(has_images, JPEG))

# Written
ALL_ARRAYS = (JSON, SAFETENSORS)
BY_ROW = (*ALL_ARRAYS, *TABLE)
ROWS_OF_DATA = (*ONE_ARRAY, *TABLE)
PICTURE = When(has_images, PNG)
