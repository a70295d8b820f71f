"""Bytes to arrays and back: JSON, safetensors and npy, each parsed once."""
