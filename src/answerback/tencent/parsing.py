"""From a body as it arrived to a callback that is understood, or to a refusal that says why."""

from answerback.domain.calls import identify
from answerback.domain.models import Arrival, Received, Rejected
from answerback.errors import CallbackRejected
from answerback.tencent.callbacks import parse
from answerback.tencent.response import REJECTIONS


def read(arrival: Arrival) -> Received:
    """Read the body. Raises CallbackRejected where it is no callback."""
    callback = parse(arrival.raw)
    return Received(
        channel=arrival.channel,
        callback=callback,
        identity=identify(arrival.channel, callback),
        raw=arrival.raw,
        received_at=arrival.received_at,
    )


def understand(arrival: Arrival) -> Received | Rejected:
    """Read the body; what is no callback becomes a refusal with the answer that its sender gets."""
    try:
        return read(arrival)
    except CallbackRejected as rejection:
        return Rejected(
            channel=arrival.channel,
            raw=arrival.raw,
            result=REJECTIONS[type(rejection)],
            reason=rejection.errmsg,
            received_at=arrival.received_at,
        )
