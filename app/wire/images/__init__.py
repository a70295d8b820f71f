"""Images: PNG and JPEG to arrays, and arrays to PNG."""
