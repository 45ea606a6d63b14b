"""Every setting, read once at the start and frozen: a module for each topic, `settings` for the whole.

Read from, the first that has it: the command line, `ANSWERBACK_<SECTION>__<NAME>` or, for a secret, the file that
`ANSWERBACK_<SECTION>__<NAME>_FILE` names, the TOML file. The descriptions
here are what `answerback config show` and docs/configuration.md show.
"""

from answerback.config.delivery import CertificateSettings, EndpointSettings, RelaySettings, validate_endpoint_name
from answerback.config.intake import ChannelSettings, IntakeSettings
from answerback.config.monitoring import TracingSettings
from answerback.config.server import MIN_SECRET_LENGTH, ServerRole, ServerSettings
from answerback.config.settings import PREFIX, Settings, format_value, load_settings
from answerback.domain.models import DEFAULT_CHANNEL

__all__ = [
    "DEFAULT_CHANNEL",
    "MIN_SECRET_LENGTH",
    "PREFIX",
    "CertificateSettings",
    "ChannelSettings",
    "EndpointSettings",
    "IntakeSettings",
    "RelaySettings",
    "ServerRole",
    "ServerSettings",
    "Settings",
    "TracingSettings",
    "format_value",
    "load_settings",
    "validate_endpoint_name",
]
