"""The callback that a test sends: nobody's call, and recognisable as such."""

from datetime import datetime
from secrets import token_bytes

from answerback.domain.calls import fold
from answerback.domain.models import Arrival, Event, Format
from answerback.domain.webhook_payload import CallbackFields, write_message
from answerback.tencent.parsing import read

CALLID = "answerback-test"

_RAW = (
    b'{"voiceprompt_callback":{"result":"0","accept_time":"1470197211","call_from":"","callid":"answerback-test",'
    b'"end_calltime":"1470197221","fee":"1","mobile":"13xxxxxxxxx","nationcode":"86","start_calltime":"1470197196"}}'
)
"""The example of "Voice Notification Status Callback", product 1128/37519, with a callid that says what it is."""


def sample_body(form: Format, channel: str, now: datetime) -> bytes:
    """What an endpoint of that format is sent to try it."""
    if form is Format.TENCENT:
        return _RAW
    item = read(Arrival(channel, _RAW, now))
    fields = CallbackFields.of(0, item.callback.kind, token_bytes(16), now, _RAW)
    return write_message(Event.ANSWERED, now, fold(None, item), fields)
