"""The formats that several calls read or write."""

from app.call_parts.call import Offers, When
from app.call_parts.shapes import has_images
from app.wire.negotiation import JPEG, JSON, NPY, PNG, SAFETENSORS

# Read
ONE_ARRAY: Offers = (JSON, SAFETENSORS, NPY)
NAMED_ARRAYS: Offers = (JSON, SAFETENSORS)
OPTIONS_ONLY: Offers = (JSON,)
DATA_OR_IMAGES: Offers = (*ONE_ARRAY, When(has_images, PNG), When(has_images, JPEG))

# Written
ALL_ARRAYS = (JSON, SAFETENSORS)
PICTURE = When(has_images, PNG)
