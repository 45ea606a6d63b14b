"""API 2.0 as the SDKs speak it: a request becomes an `Order`, or the cloud's refusal; pure.

Source: "Sending Voice Notification", "Sending Voice Verification Code", "Specifying Template to Send Voice Notification",
"Uploading Voice File", product 1128; the signature and its vector from the same pages.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from answerback.domain.models import Kind
from answerback.emulator.send_requests import (
    LONGEST_CODE,
    LONGEST_TEXT,
    Account,
    Application,
    Order,
    check_length,
    read_fields,
    speakable,
    template_text,
    text_of,
)
from answerback.emulator.vendor_errors import Fault, Refused

OPERATIONS = ("sendvoiceprompt", "sendcvoice", "sendvoice", "sendtvoice", "sendfvoice", "uploadvoicefile")

_CLOCK_MAY_DIFFER_S = 600
_PLAYS = range(1, 4)
_PROMPT_OF_TEXT = 2
_LARGEST_FILE_BYTES = 400 * 1024
_MOBILE = re.compile(r"[0-9]{5,15}")
_NATIONCODE = re.compile(r"\+?([1-9][0-9]{0,2})")


def signature(app_key: str, random: str, time: str, mobile: str) -> str:
    """`sig` of a send."""
    return _hash(f"appkey={app_key}&random={random}&time={time}&mobile={mobile}")


def file_signature(app_key: str, random: str, time: str, content_sha1: str) -> str:
    """`Authorization` of an upload."""
    return _hash(f"appkey={app_key}&random={random}&time={time}&content-sha1={content_sha1}")


def read_order(account: Account, operation: str, query: Mapping[str, str], body: bytes, now_s: float) -> Order:
    """The call that a request asks for. Raises Refused."""
    if operation not in OPERATIONS:
        raise Refused(Fault.INTERFACE, operation)
    application = _application(account, query)
    fields = read_fields(body)
    mobile, nationcode = _callee(fields)
    _check_time(fields.get("time"), now_s)
    expected = signature(application.app_key, query.get("random", ""), str(fields.get("time")), mobile)
    if not hmac.compare_digest(expected, str(fields.get("sig", "")).encode("ascii", "replace").decode()):
        raise Refused(Fault.SIGNATURE, "sig is sha256(appkey=…&random=…&time=…&mobile=…), in hex")
    plays = fields.get("playtimes", 2)
    if not isinstance(plays, int) or isinstance(plays, bool) or plays not in _PLAYS:
        raise Refused(Fault.PACKET, "playtimes is 1, 2 or 3")
    kind, text = _content(application, operation, fields)
    return Order(
        app_id=application.app_id,
        kind=kind,
        nationcode=nationcode,
        mobile=mobile,
        text=text,
        plays=plays,
        said_along=text_of(fields.get("ext")) or "",
    )


def read_file(account: Account, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, now_s: float) -> str:
    """The id of an uploaded voice file. Raises Refused."""
    application = _application(account, query)
    _check_time(query.get("time"), now_s)
    sha1 = headers.get("x-content-sha1", "")
    if sha1.lower() != hashlib.sha1(body, usedforsecurity=False).hexdigest():
        raise Refused(Fault.PACKET, "x-content-sha1 is not the SHA-1 of the body")
    expected = file_signature(application.app_key, query.get("random", ""), query.get("time", ""), sha1)
    if not hmac.compare_digest(expected, headers.get("authorization", "").encode("ascii", "replace").decode()):
        raise Refused(Fault.SIGNATURE, "Authorization is sha256(appkey=…&random=…&time=…&content-sha1=…), in hex")
    if not body or len(body) > _LARGEST_FILE_BYTES:
        raise Refused(Fault.TOO_LONG, f"a voice file has 1 to {_LARGEST_FILE_BYTES} bytes")
    fid = f"{sha1.lower()}.mp3"
    application.files.add(fid)
    return fid


def accepted(callid: str, said_along: str) -> bytes:
    """The answer to a send, as compact as the SDKs' users search it."""
    return msgspec.json.encode({"result": 0, "errmsg": "OK", "callid": callid, "ext": said_along})


def refused(refusal: Refused, said_along: str = "") -> bytes:
    """The answer to a mistake."""
    return msgspec.json.encode({"result": refusal.fault.result, "errmsg": refusal.message, "ext": said_along})


def _application(account: Account, query: Mapping[str, str]) -> Application:
    app_id = query.get("sdkappid", "")
    if not query.get("random"):
        raise Refused(Fault.PACKET, "random is missing in the URL")
    application = account.applications.get(app_id)
    if application is None:
        raise Refused(Fault.APPLICATION, f"sdkappid={app_id}")
    if application.disabled:
        raise Refused(Fault.DISABLED)
    return application


def _callee(fields: Mapping[str, Any]) -> tuple[str, str]:
    tel = fields.get("tel")
    if not isinstance(tel, dict):
        raise Refused(Fault.PACKET, "tel is missing")
    mobile = text_of(tel.get("mobile"))
    nationcode = _NATIONCODE.fullmatch(text_of(tel.get("nationcode")) or "")
    if mobile is None or nationcode is None:
        raise Refused(Fault.PACKET, 'tel holds mobile, and nationcode as "86"')
    if not _MOBILE.fullmatch(mobile):
        raise Refused(Fault.PACKET, "mobile is the number without the country's code: 5 to 15 digits")
    return mobile, nationcode[1]


def _check_time(told: object, now_s: float) -> None:
    text = text_of(told)
    if text is None or not text.isascii() or not text.isdigit() or abs(int(text[:18]) - now_s) > _CLOCK_MAY_DIFFER_S:
        raise Refused(Fault.TIME, f"time is {text}, here it is {round(now_s)}; 10 minutes are allowed")


def _content(application: Application, operation: str, fields: Mapping[str, Any]) -> tuple[Kind, str]:
    """What is to be said."""
    match operation:
        case "sendvoiceprompt":
            if fields.get("prompttype") != _PROMPT_OF_TEXT:
                raise Refused(Fault.PACKET, "prompttype is 2")
            return Kind.PROMPT, _spoken(application, fields.get("promptfile"), "promptfile", LONGEST_TEXT)
        case "sendtvoice":
            return Kind.PROMPT, template_text(application, fields.get("tpl_id"), fields.get("params"))
        case "sendfvoice":
            fid = text_of(fields.get("fid"))
            if fid not in application.files:
                raise Refused(Fault.PARAMETERS, "there is no file of this fid")
            return Kind.PROMPT, f"[{fid}]"
        case "uploadvoicefile":
            raise Refused(Fault.UNSUPPORTED, "this operation calls nobody")
        case _:
            code = _spoken(application, text_of(fields.get("msg")), "msg", LONGEST_CODE)
            if not code.isascii() or not code.isdigit():
                raise Refused(Fault.PARAMETERS, "msg holds digits")
            return Kind.CODE, code


def _spoken(application: Application, text: object, name: str, longest: int) -> str:
    if not isinstance(text, str) or not text:
        raise Refused(Fault.PACKET, f"{name} is missing")
    check_length(name, text, longest)
    return speakable(application, text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
