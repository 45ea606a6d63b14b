"""How callbacks come in, and what is kept of those that are refused."""

from typing import Annotated

from pydantic import Field, SecretStr

from answerback.config.section import RELOADABLE, Count, Seconds, Section


class IntakeSettings(Section):
    """Limits and timeouts of receiving callbacks."""

    max_pending: Count = Field(
        10_000,
        description="maximum number of callbacks waiting for a commit; beyond it the response is 503",
        json_schema_extra=RELOADABLE,
    )
    max_batch: Count = Field(512, description="maximum number of callbacks in one commit", json_schema_extra=RELOADABLE)
    max_body_bytes: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = Field(
        65_536, description="largest body of a callback; the response to a larger one is 413"
    )
    request_timeout_s: Seconds = Field(10.0, description="time to receive a complete request")
    commit_timeout_s: Seconds = Field(5.0, description="time for a commit; after it the response is 503")
    keep_alive_s: Annotated[int, Field(ge=1)] = Field(75, description="how long an idle connection is kept open")
    shutdown_timeout_s: Annotated[int, Field(ge=1, le=60)] = Field(
        3, description="time to finish open requests at shutdown, and then as long again to record what is in the inbox"
    )


class QuarantineSettings(Section):
    """Limits of the quarantine, where bodies that could not be parsed are kept; beyond them new bodies are dropped and counted."""

    max_bytes: Count = Field(64 * 1024 * 1024, description="maximum total size of quarantined bodies")
    max_per_minute: Count = Field(6_000, description="maximum number of bodies quarantined per minute")


class ChannelSettings(Section):
    """A channel: one voice application of Tencent Cloud."""

    token: SecretStr | None = Field(None, description="secret last segment of the callback URL, 16 characters or more")
    sdkappid: str | None = Field(None, description="the application's SDK AppID, for your information only")
