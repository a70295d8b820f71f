"""
Import ONNX Runtime with its telemetry turned off.

Since version 1.32 it sends events to its vendor and stores a device id under HOME,
unless this environment variable is set when the library is loaded. So all other modules
import it from here.
"""

import os

TELEMETRY_OFF = "ORT_DISABLE_TELEMETRY"

os.environ[TELEMETRY_OFF] = "1"

from onnxruntime import InferenceSession, SessionOptions  # noqa: E402  # see above

__all__ = ["TELEMETRY_OFF", "InferenceSession", "SessionOptions"]
