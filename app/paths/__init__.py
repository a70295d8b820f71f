"""Paths through latent space over HTTP: interpolation and traversal."""
