"""For all suites: a PostgreSQL for who asks for one; Hypothesis without a clock, the machine may be busy."""

from hypothesis import HealthCheck, settings
from postgresql import postgresql_server, postgresql_url

__all__ = ["postgresql_server", "postgresql_url"]

settings.register_profile(
    "answerback",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("answerback")
