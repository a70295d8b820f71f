"""
ONNX Runtime, imported with its telemetry off.

Since 1.32 it sends events to its vendor and keeps a device id under HOME, unless this
variable is set when the library is loaded. So it is imported here and nowhere else.
"""

import os

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"

os.environ[TELEMETRY_OFF] = "1"

from onnxruntime import InferenceSession, SessionOptions  # noqa: E402  # see above

__all__ = ["TELEMETRY_OFF", "InferenceSession", "SessionOptions"]
