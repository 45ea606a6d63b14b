"""From a body as it arrived to a callback that is understood, or to a refusal that says why."""

from answerback.domain.calls import callback_fingerprint
from answerback.domain.models import ParsedCallback, RawCallback, RejectedCallback
from answerback.errors import CallbackRejected
from answerback.tencent.callbacks import parse
from answerback.tencent.response import RESPONSE_CODES


def parse_callback(raw_callback: RawCallback) -> ParsedCallback:
    """Read the body. Raises CallbackRejected where it is no callback."""
    callback = parse(raw_callback.raw)
    return ParsedCallback(
        channel=raw_callback.channel,
        callback=callback,
        fingerprint=callback_fingerprint(raw_callback.channel, callback),
        raw=raw_callback.raw,
        received_at=raw_callback.received_at,
    )


def parse_or_reject(raw_callback: RawCallback) -> ParsedCallback | RejectedCallback:
    """Read the body; what is no callback becomes a refusal with the answer that its sender gets."""
    try:
        return parse_callback(raw_callback)
    except CallbackRejected as rejection:
        return RejectedCallback(
            channel=raw_callback.channel,
            raw=raw_callback.raw,
            result=RESPONSE_CODES[type(rejection)],
            reason=rejection.errmsg,
            received_at=raw_callback.received_at,
        )
