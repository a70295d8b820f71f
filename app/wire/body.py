"""The bytes of a request's body, as they came."""

Body = bytes | bytearray
