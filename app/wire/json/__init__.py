"""JSON: bodies to arrays, and arrays to responses."""
