"""The settings of Hypothesis for tests that a busy machine must not fail."""

from hypothesis import HealthCheck, settings

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
