"""The analyses over HTTP: likelihood, gaps, posteriors, anomalies, imputation."""
