"""How callbacks come in, and what is kept of those that are refused."""

from typing import Annotated

from pydantic import Field, SecretStr

from answerback.config.section import Count, Seconds, Section


class IntakeSettings(Section):
    """How callbacks are received."""

    max_pending: Count = Field(
        10_000, description="callbacks that may wait for their commit; past it the answer is 503"
    )
    max_batch: Count = Field(512, description="callbacks in one commit")
    max_body_bytes: Annotated[int, Field(ge=1, le=64 * 1024 * 1024)] = Field(
        65_536, description="largest body of a callback; a larger one is answered 413"
    )
    request_timeout_s: Seconds = Field(10.0, description="time for a request to arrive in full")
    commit_timeout_s: Seconds = Field(5.0, description="time for a commit; past it the answer is 503")
    keep_alive_s: Annotated[int, Field(ge=1)] = Field(75, description="time an idle connection is kept open")
    shutdown_timeout_s: Annotated[int, Field(ge=1, le=60)] = Field(3, description="time to finish requests at shutdown")


class QuarantineSettings(Section):
    """How many bodies that could not be understood are kept; the oldest stay, what is dropped is counted."""

    max_bytes: Count = Field(64 * 1024 * 1024, description="bytes of refused bodies to keep")
    max_per_minute: Count = Field(6_000, description="refused bodies to keep per minute")


class ChannelSettings(Section):
    """One voice application of the cloud's."""

    token: SecretStr | None = Field(None, description="secret last part of the callback URL, 16 characters or more")
    sdkappid: str | None = Field(None, description="the application's SDK AppID, for your own orientation")
