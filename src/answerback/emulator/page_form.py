"""The form that places a call: it speaks API 2.0, so that it is refused as a program would be; pure."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator import api2
from answerback.emulator.send_requests import Account, SendRequest, split_number
from answerback.emulator.vendor_errors import SendRejected, VendorError

_CHINA = "86"
_SPACING = re.compile(r"[\s()./-]+")
_ENDING_DIGITS = 3

_INVALID_FIELDS = {
    VendorError.CALLEE: "number",
    VendorError.FREQUENCY: "number",
    VendorError.SENSITIVE_WORD: "text",
    VendorError.PACKET: "text",
    VendorError.PARAMETERS: "text",
    VendorError.TOO_LONG: "text",
}


class CallForm(NamedTuple):
    """What is filled in. `ending`: the last three digits that the number is given, "": those it has."""

    app_id: str = ""
    number: str = "13800138000"
    ending: str = ""
    kind: str = CallbackKind.PROMPT.value
    text: str = ""
    code: str = "482913"


def parse_form(body: bytes, defaults: CallForm) -> CallForm:
    """The form as a browser sends it; what is missing is as in `defaults`."""
    given = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return defaults._replace(**{name: given[name][-1].strip() for name in CallForm._fields if name in given})


def build_send_request(form: CallForm, account: Account, now_s: float) -> SendRequest:
    """The call that the form asks for. Raises SendRejected."""
    nationcode, mobile = _callee(form)
    application = account.applications.get(form.app_id)
    time = str(int(now_s))
    app_key = application.app_key if application else ""
    fields: dict[str, object] = {
        "tel": {"nationcode": nationcode, "mobile": mobile},
        "time": time,
        "sig": api2.signature(app_key, time, time, mobile),
    }
    if form.kind == CallbackKind.CODE.value:
        operation = "sendcvoice"
        fields["msg"] = form.code
    else:
        operation = "sendvoiceprompt"
        fields |= {"prompttype": 2, "promptfile": form.text}
    body = msgspec.json.encode(fields)
    return api2.parse_send_request(account, operation, {"sdkappid": form.app_id, "random": time}, body, now_s)


def invalid_field(form: CallForm, error: VendorError) -> str:
    """The field that a refusal is about."""
    field = _INVALID_FIELDS.get(error, "app_id")
    return "code" if field == "text" and form.kind == CallbackKind.CODE.value else field


def _callee(form: CallForm) -> tuple[str, str]:
    """The number as nationcode and the rest, with the ending that was chosen."""
    number = _SPACING.sub("", form.number)
    if form.ending:
        number = number[:-_ENDING_DIGITS] + form.ending
    if re.fullmatch(r"[0-9]{5,15}", number):
        return _CHINA, number
    if not re.fullmatch(r"\+[1-9][0-9]{7,14}", number):
        raise SendRejected(VendorError.CALLEE, form.number)
    return split_number(number)
