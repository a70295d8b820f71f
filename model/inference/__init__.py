"""Inference with a trained VAE: log p(x), posteriors, gaps, anomalies, imputation."""
