"""The sample callback that an endpoint test sends: recognisable, and of no real call."""

from datetime import datetime
from secrets import token_bytes

from answerback.domain.calls import fold
from answerback.domain.endpoints import EventType, PayloadFormat
from answerback.domain.models import RawCallback
from answerback.domain.webhook_payload import CallbackPayload, encode_webhook
from answerback.tencent.parsing import parse_callback

CALLID = "answerback-test"

_RAW = (
    b'{"voiceprompt_callback":{"result":"0","accept_time":"1470197211","call_from":"","callid":"answerback-test",'
    b'"end_calltime":"1470197221","fee":"1","mobile":"13xxxxxxxxx","nationcode":"86","start_calltime":"1470197196"}}'
)
"""The example of "Voice Notification Status Callback", product 1128/37519, with a callid that says what it is."""


def build_sample_payload(payload_format: PayloadFormat, channel: str, now: datetime) -> bytes:
    """Build what a test sends to an endpoint of that format."""
    if payload_format is PayloadFormat.TENCENT:
        return _RAW
    item = parse_callback(RawCallback(channel, _RAW, now))
    fields = CallbackPayload.of(0, item.callback.kind, token_bytes(16), now, _RAW)
    return encode_webhook(EventType.ANSWERED, now, fold(None, item), fields)
