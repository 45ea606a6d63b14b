"""The form that places a call: it speaks API 2.0, so that it is refused as a program would be; pure."""

import re
from typing import NamedTuple
from urllib.parse import parse_qs

import msgspec
import phonenumbers

from answerback.domain.models import Kind
from answerback.emulator import api2
from answerback.emulator.send_requests import Account, Order
from answerback.emulator.vendor_errors import Fault, Refused

_CHINA = "86"
_SPACING = re.compile(r"[\s()./-]+")
_ENDING_DIGITS = 3

_FIELDS_AT_FAULT = {
    Fault.CALLEE: "number",
    Fault.FREQUENCY: "number",
    Fault.SENSITIVE_WORD: "text",
    Fault.PACKET: "text",
    Fault.PARAMETERS: "text",
    Fault.TOO_LONG: "text",
}


class Form(NamedTuple):
    """What is filled in. `ending`: the last three digits that the number is given, "": those it has."""

    app_id: str = ""
    number: str = "13800138000"
    ending: str = ""
    kind: str = Kind.PROMPT.value
    text: str = ""
    code: str = "482913"


def read_form(body: bytes, standard: Form) -> Form:
    """The form as a browser sends it; what is missing is as in `standard`."""
    given = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True)
    return standard._replace(**{name: given[name][-1].strip() for name in Form._fields if name in given})


def order_of(form: Form, account: Account, now_s: float) -> Order:
    """The call that the form asks for. Raises Refused."""
    nationcode, mobile = _callee(form)
    application = account.applications.get(form.app_id)
    time = str(int(now_s))
    app_key = application.app_key if application else ""
    fields: dict[str, object] = {
        "tel": {"nationcode": nationcode, "mobile": mobile},
        "time": time,
        "sig": api2.signature(app_key, time, time, mobile),
    }
    if form.kind == Kind.CODE.value:
        operation = "sendcvoice"
        fields["msg"] = form.code
    else:
        operation = "sendvoiceprompt"
        fields |= {"prompttype": 2, "promptfile": form.text}
    body = msgspec.json.encode(fields)
    return api2.read_order(account, operation, {"sdkappid": form.app_id, "random": time}, body, now_s)


def field_at_fault(form: Form, fault: Fault) -> str:
    """The field that a refusal is about."""
    field = _FIELDS_AT_FAULT.get(fault, "app_id")
    return "code" if field == "text" and form.kind == Kind.CODE.value else field


def _callee(form: Form) -> tuple[str, str]:
    """The number as nationcode and the rest, with the ending that was chosen."""
    number = _SPACING.sub("", form.number)
    if form.ending:
        number = number[:-_ENDING_DIGITS] + form.ending
    if re.fullmatch(r"[0-9]{5,15}", number):
        return _CHINA, number
    if not re.fullmatch(r"\+[1-9][0-9]{7,14}", number):
        raise Refused(Fault.CALLEE, form.number)
    try:
        nationcode = str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException as error:
        raise Refused(Fault.CALLEE, str(error)) from error
    return nationcode, number[1 + len(nationcode) :]
