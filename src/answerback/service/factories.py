"""Factories: the parts of a gateway, from its settings."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import metadata
from typing import TYPE_CHECKING

from answerback.certificates import CertificateFiles, Certificates
from answerback.config import RelaySettings, Settings
from answerback.inbox import InboxConfig
from answerback.tracing import open_tracer

if TYPE_CHECKING:
    from answerback.alerts import AlertManager, MessageContext, Target
    from answerback.auth.api_keys import AdminKey
    from answerback.domain.alert_rules import AlertRule
    from answerback.ledger import Ledger
    from answerback.ledger.admin.instances import Instance
    from answerback.ledger.writer.client import WriterClient
    from answerback.relay import ConfigEndpoint, RetryPolicy
    from answerback.stream import Stream
    from answerback.tracing.tracer import Tracer


def config_endpoints(settings: Settings) -> "dict[str, ConfigEndpoint]":
    """The endpoints of the config file, for the relay."""
    from answerback.relay import ConfigEndpoint

    return {
        name: ConfigEndpoint(
            channel=endpoint.channel,
            config=endpoint.endpoint_config(),
            enabled=endpoint.enabled,
            secret=endpoint.secret.get_secret_value() if endpoint.secret is not None else None,
        )
        for name, endpoint in settings.endpoints.items()
    }


def build_alerts(
    settings: Settings,
    writer: "WriterClient",
    ledger: "Ledger",
    recorded_us: Callable[[], int | None],
    lag_alerts: "AlertManager",
) -> "AlertManager":
    """The alerts that the settings ask for, `lag_alerts` beside them. Raises ConfigError where a URL is invalid."""
    from answerback.alerts import AlertManager, LedgerSource

    rules = _rules(settings, is_lag=False)
    return AlertManager(
        LedgerSource(writer, ledger, rules, tuple(settings.tokens()), recorded_us),
        rules,
        open_alert_targets(settings) if rules else (),
        message_context=message_context(settings),
        evaluation_interval_s=settings.alerts.evaluation_interval_s,
        beside=lag_alerts,
    )


def build_lag_alerts(
    settings: Settings, lag_s: Callable[[], float | None], failure: Callable[[], str | None]
) -> "AlertManager":
    """The alerts about the recorder of this process. Raises ConfigError where a URL is invalid."""
    from answerback.alerts import AlertManager, RecorderSource

    rules = _rules(settings, is_lag=True)
    return AlertManager(
        RecorderSource(rules, lag_s, failure),
        rules,
        open_alert_targets(settings) if rules else (),
        message_context=message_context(settings),
        evaluation_interval_s=settings.alerts.evaluation_interval_s,
    )


def reload_alerts(alerts: "AlertManager", settings: Settings, targets: "Sequence[Target]", *, is_lag: bool) -> None:
    """Have `alerts`, those about the recorder or the others, evaluate the rules of other settings."""
    alerts.reload(
        _rules(settings, is_lag=is_lag),
        tuple(settings.tokens()),
        targets,
        message_context=message_context(settings),
        evaluation_interval_s=settings.alerts.evaluation_interval_s,
    )


def _rules(settings: Settings, *, is_lag: bool) -> "dict[str, AlertRule]":
    """The rules about the recorder, which each process evaluates for itself, or the others."""
    from answerback.domain.alert_rules import RecorderLagRule

    return {name: rule for name, rule in settings.alerts.rules.items() if isinstance(rule, RecorderLagRule) == is_lag}


def open_alert_targets(settings: Settings) -> "list[Target]":
    """Open the notification targets of alerts. Raises ConfigError that names the URL at fault, and does not show it."""
    from answerback.alerts import open_targets

    return open_targets([url.get_secret_value() for url in settings.alerts.notify])


def message_context(settings: Settings) -> "MessageContext":
    """What all messages about alerts have in common."""
    from answerback.alerts import MessageContext

    public_url = settings.server.public_url
    return MessageContext(
        timezone=settings.console.timezone,
        console_url=f"{public_url.rstrip('/')}/console/alerts" if public_url else None,
        documents=documents(),
    )


def documents() -> str:
    """The address of the documents that the package names; where it names none, their place in the repository."""
    named = (url.partition(", ") for url in metadata("answerback").get_all("Project-URL", ()))
    return next((url for label, _, url in named if label == "Documentation"), "docs")


def open_certificates(settings: Settings) -> Certificates:
    """Load the certificates of the config file. Raises ConfigError that names the setting."""
    return Certificates(
        {
            name: CertificateFiles(ca_file=one.ca_file, client_cert=one.client_cert, client_key=one.client_key)
            for name, one in settings.certificates.items()
        }
    )


def retry_policy(relay: RelaySettings) -> "RetryPolicy":
    from answerback.relay import RetryPolicy

    return RetryPolicy(**{name: getattr(relay, name) for name in RetryPolicy.__struct_fields__})


def build_stream(settings: Settings) -> "Stream | None":
    """The stream that the settings name, if they do. Raises MissingExtra."""
    wanted = settings.stream
    if wanted.url is None:
        return None
    from answerback.stream import Stream, StreamConfig

    return Stream(
        StreamConfig(
            urls=wanted.urls(),
            name=wanted.name,
            shards=wanted.shards,
            replicas=wanted.replicas,
            max_bytes=wanted.max_bytes,
            allow_fewer_replicas=wanted.allow_fewer_replicas,
            credentials=wanted.credentials,
            ca_file=wanted.ca_file,
            max_body_bytes=settings.intake.max_body_bytes,
        )
    )


def build_tracer(settings: Settings, instance: "Callable[[], Instance]", id_key: bytes) -> "Tracer | None":
    """The tracer, if a collector is configured. Raises MissingExtra, ConfigError."""

    def resource() -> dict[str, str]:
        this = instance()
        return {
            "service.name": "answerback",
            "service.version": this.version,
            "service.instance.id": this.id,
            "host.name": this.host,
            "answerback.roles": ",".join(this.roles),
        }

    return open_tracer(settings.tracing.url(), settings.tracing.sample_ratio, resource, id_key)


def inbox_config(settings: Settings) -> InboxConfig:
    """Where the inbox is, and its bounds."""
    return InboxConfig(
        directory=settings.inbox.dir or settings.server.data_dir,
        max_bytes=settings.inbox.max_bytes,
        reserve_bytes=settings.inbox.reserve_bytes,
        keep_s=settings.inbox.keep_s,
        allow_unsafe_filesystem=settings.ledger.allow_unsafe_filesystem,
    )


def admin_key(settings: Settings) -> "AdminKey":
    """The key that is set for all processes alike, or that of the data directory. Raises ConfigError."""
    from answerback.auth.api_keys import AdminKey

    if settings.server.admin_key is None:
        return AdminKey.load_or_create(settings.server.data_dir)
    return AdminKey(settings.server.admin_key.get_secret_value(), created=False, created_at=datetime.now(UTC))
