"""The parts as the settings want them."""

from typing import TYPE_CHECKING

from answerback.config import IntakeSettings, RelaySettings, ServerRole, Settings
from answerback.intake import Committer, Meter
from answerback.intake.committer import IN_FLIGHT, Recorder
from answerback.ledger import Ledger
from answerback.ledger.admin.instances import Member
from answerback.ledger.writer.client import WriterProcess
from answerback.tracing import TracedWriter, Tracer, open_tracer

if TYPE_CHECKING:
    from answerback.alerts import Alerts, Letterhead, Target
    from answerback.relay import Certificates, Terms, Wanted
    from answerback.stream import Stream


def wanted_endpoints(settings: Settings) -> "dict[str, Wanted]":
    """The endpoints of the config file, as the relay takes them."""
    from answerback.relay import Wanted

    return {
        name: Wanted(
            channel=endpoint.channel,
            definition=endpoint.definition(),
            enabled=endpoint.enabled,
            secret=endpoint.secret.get_secret_value() if endpoint.secret is not None else None,
        )
        for name, endpoint in settings.endpoints.items()
    }


def build_alerts(settings: Settings, writer: WriterProcess, ledger: Ledger) -> "Alerts":
    """The alerts that the settings ask for. Raises ConfigError where a URL is unfit."""
    from answerback.alerts import Alerts

    wanted = settings.alerts
    return Alerts(
        writer,
        ledger,
        wanted.rules,
        alert_targets(settings) if wanted.rules else (),
        channels=tuple(settings.tokens()),
        letterhead=letterhead_of(settings),
        every_s=wanted.every_s,
    )


def alert_targets(settings: Settings) -> "list[Target]":
    """Those who are told of alerts. Raises ConfigError that names the URL at fault, and does not show it."""
    from answerback.alerts import open_targets

    return open_targets([url.get_secret_value() for url in settings.alerts.notify])


def letterhead_of(settings: Settings) -> "Letterhead":
    """What all messages about alerts have in common."""
    from answerback.alerts import Letterhead

    public_url = settings.server.public_url
    return Letterhead(
        timezone=settings.console.timezone, console_url=f"{public_url.rstrip('/')}/console" if public_url else None
    )


def open_certificates(settings: Settings) -> "Certificates":
    """Those of the config file, read. Raises ConfigError that names the setting."""
    from answerback.relay import CertificateFiles, Certificates

    return Certificates(
        {
            name: CertificateFiles(ca_file=one.ca_file, client_cert=one.client_cert, client_key=one.client_key)
            for name, one in settings.certificates.items()
        }
    )


def relay_terms(relay: RelaySettings) -> "Terms":
    """How often and how long the relay tries."""
    from answerback.relay import Terms

    return Terms(**{name: getattr(relay, name) for name in Terms.__struct_fields__})


def build_stream(settings: Settings) -> "Stream | None":
    """The stream that the settings name, if they do. Raises ExtraMissing."""
    wanted = settings.stream
    if wanted.url is None:
        return None
    from answerback.stream import Stream, Terms

    return Stream(
        Terms(
            urls=wanted.urls(),
            name=wanted.name,
            shards=wanted.shards,
            replicas=wanted.replicas,
            max_bytes=wanted.max_bytes,
            allow_fewer_replicas=wanted.allow_fewer_replicas,
            credentials=wanted.credentials,
            ca_file=wanted.ca_file,
            largest_body=settings.intake.max_body_bytes,
        )
    )


def build_tracer(settings: Settings, member: Member, id_key: bytes) -> Tracer | None:
    """What tells a collector of callbacks, where one is named. Raises ExtraMissing, ConfigError."""
    about = {
        "service.name": "answerback",
        "service.version": member.version,
        "service.instance.id": member.id,
        "host.name": member.host,
        "answerback.roles": ",".join(member.roles),
    }
    return open_tracer(settings.traces.url(), settings.traces.sample_ratio, about, id_key)


def build_recorder(
    writer: WriterProcess | TracedWriter, stream: "Stream | None", settings: Settings, tracer: Tracer | None
) -> Recorder:
    """What a callback is safe with: the stream, where this process takes callbacks and there is one; else the ledger."""
    if stream is None or ServerRole.INTAKE not in settings.server.roles:
        return writer
    publisher = stream.publisher(settings.intake.answer_timeout_s)
    publisher.tracer = tracer
    return publisher


def build_committer(recorder: Recorder, meter: Meter, intake: IntakeSettings) -> Committer:
    """The group commit in front of the recorder, within the bounds that are set."""
    return Committer(
        recorder,
        meter,
        max_pending=intake.max_pending,
        max_batch=intake.max_batch,
        answer_timeout_s=intake.answer_timeout_s,
        in_flight=getattr(recorder, "in_flight", IN_FLIGHT),
    )
