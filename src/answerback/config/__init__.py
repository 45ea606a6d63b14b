"""Every setting, read once at the start and frozen: a module for each topic, `settings` for the whole.

Read from, the first that has it: the command line, `ANSWERBACK_<SECTION>__<NAME>` or, for a secret, the file that
`ANSWERBACK_<SECTION>__<NAME>_FILE` names, the TOML file. The descriptions
here are what `answerback config show` and docs/configuration.md show.
"""

from answerback.config.delivery import CertificateSettings, EndpointSettings, RelaySettings
from answerback.config.intake import ChannelSettings, IntakeSettings
from answerback.config.monitoring import TracingSettings
from answerback.config.server import ServerRole, ServerSettings
from answerback.config.settings import PREFIX, Settings, format_value, load_settings

__all__ = [
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
]
