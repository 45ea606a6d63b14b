"""Hypothesis for all suites: no clock, the machine may be busy; a store may serve many examples."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "answerback",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("answerback")
