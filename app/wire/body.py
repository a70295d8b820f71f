"""The type of a request body."""

Body = bytes | bytearray
