"""API 2.0 as the SDKs speak it: a request becomes an `SendRequest`, or the cloud's refusal; pure.

Source: "Sending Voice Notification", "Sending Voice Verification Code", "Specifying Template to Send Voice Notification",
"Uploading Voice File", product 1128; the signature and its vector from the same pages.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.send_requests import (
    MAX_CODE_CHARS,
    MAX_TEXT_CHARS,
    Account,
    Application,
    SendRequest,
    check_clock,
    check_length,
    check_sensitive_words,
    optional_text,
    read_fields,
    template_text,
)
from answerback.emulator.vendor_errors import SendRejected, VendorError

SERVICE = "tlsvoicesvr"
SENDS = ("sendvoiceprompt", "sendcvoice", "sendvoice", "sendtvoice", "sendfvoice")

_MAX_CLOCK_SKEW_S = 600
_PLAYS = range(1, 4)
_PROMPT_OF_TEXT = 2
_MAX_FILE_BYTES = 400 * 1024
_MOBILE = re.compile(r"[0-9]{5,15}")
_NATIONCODE = re.compile(r"\+?([1-9][0-9]{0,2})")


def signature(app_key: str, random: str, time: str, mobile: str) -> str:
    """`sig` of a send."""
    return _hash(f"appkey={app_key}&random={random}&time={time}&mobile={mobile}")


def parse_send_request(
    account: Account, operation: str, query: Mapping[str, str], body: bytes, now_s: float
) -> SendRequest:
    """The call that a request asks for. Raises SendRejected."""
    if operation not in SENDS:
        raise SendRejected(VendorError.INTERFACE, operation)
    application = _application(account, query)
    fields = read_fields(body)
    mobile, nationcode = _callee(fields)
    check_clock("time", fields.get("time"), now_s, _MAX_CLOCK_SKEW_S, VendorError.TIME)
    _check_signature(application, query, fields, "mobile", mobile)
    plays = fields.get("playtimes", 2)
    if not isinstance(plays, int) or isinstance(plays, bool) or plays not in _PLAYS:
        raise SendRejected(VendorError.PACKET, "playtimes is 1, 2 or 3")
    kind, text = _content(application, operation, fields)
    return SendRequest(
        app_id=application.app_id,
        kind=kind,
        nationcode=nationcode,
        mobile=mobile,
        text=text,
        plays=plays,
        session_context=optional_text(fields.get("ext")) or "",
    )


def parse_upload(
    account: Account, query: Mapping[str, str], headers: Mapping[str, str], body: bytes, now_s: float
) -> str:
    """The id of an uploaded voice file. Raises SendRejected."""
    application = _application(account, query)
    check_clock("time", query.get("time"), now_s, _MAX_CLOCK_SKEW_S, VendorError.TIME)
    sha1 = headers.get("x-content-sha1", "")
    if sha1.lower() != hashlib.sha1(body, usedforsecurity=False).hexdigest():
        raise SendRejected(VendorError.PACKET, "x-content-sha1 is not the SHA-1 of the body")
    signed = {"time": query.get("time", ""), "sig": headers.get("authorization", "")}
    _check_signature(application, query, signed, "content-sha1", sha1)
    if not body or len(body) > _MAX_FILE_BYTES:
        raise SendRejected(VendorError.TOO_LONG, f"a voice file has 1 to {_MAX_FILE_BYTES} bytes")
    fid = f"{sha1.lower()}.mp3"
    application.files.add(fid)
    return fid


def parse_file_status(account: Account, query: Mapping[str, str], body: bytes, now_s: float) -> int:
    """The status of an uploaded voice file: 0, for nobody publishes what its numbers mean. Raises SendRejected."""
    application = _application(account, query)
    fields = read_fields(body)
    check_clock("time", fields.get("time"), now_s, _MAX_CLOCK_SKEW_S, VendorError.TIME)
    fid = optional_text(fields.get("fid")) or ""
    _check_signature(application, query, fields, "fid", fid)
    if fid not in application.files:
        raise SendRejected(VendorError.PARAMETERS, "there is no file of this fid")
    return 0


def encode_ok(**fields: object) -> bytes:
    """The answer to what was done, as compact as the SDKs' users search it."""
    return msgspec.json.encode({"result": 0, "errmsg": "OK"} | fields)


def rejected(refusal: SendRejected, session_context: str = "") -> bytes:
    return msgspec.json.encode({"result": refusal.error.result, "errmsg": refusal.message, "ext": session_context})


def _check_signature(
    application: Application, query: Mapping[str, str], fields: Mapping[str, Any], name: str, value: str
) -> None:
    """Check the `sig` that covers random, time and one more field, `name`."""
    signed = f"&random={query['random']}&time={fields['time']}&{name}={value}"
    expected, given = _hash(f"appkey={application.app_key}{signed}"), str(fields.get("sig", ""))
    if not hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace")):
        differs = "capitals were sent; " if given.lower() == expected else ""
        raise SendRejected(
            VendorError.SIGNATURE, f"{differs}it is sha256 in hex, in small letters, of appkey=<AppKey>{signed}"
        )


def _application(account: Account, query: Mapping[str, str]) -> Application:
    app_id = query.get("sdkappid", "")
    if not query.get("random"):
        raise SendRejected(VendorError.PACKET, "random is missing in the URL")
    application = account.applications.get(app_id)
    if application is None:
        raise SendRejected(VendorError.APPLICATION, f"sdkappid={app_id}")
    if application.disabled:
        raise SendRejected(VendorError.DISABLED)
    return application


def _callee(fields: Mapping[str, Any]) -> tuple[str, str]:
    tel = fields.get("tel")
    if not isinstance(tel, dict):
        raise SendRejected(VendorError.PACKET, "tel is missing")
    mobile = optional_text(tel.get("mobile"))
    nationcode = _NATIONCODE.fullmatch(optional_text(tel.get("nationcode")) or "")
    if mobile is None or nationcode is None:
        raise SendRejected(VendorError.PACKET, 'tel holds mobile, and nationcode as "86"')
    if not _MOBILE.fullmatch(mobile):
        raise SendRejected(VendorError.PACKET, "mobile is the number without the country's code: 5 to 15 digits")
    return mobile, nationcode[1]


def _content(application: Application, operation: str, fields: Mapping[str, Any]) -> tuple[CallbackKind, str]:
    """What is to be said."""
    match operation:
        case "sendvoiceprompt":
            if fields.get("prompttype") != _PROMPT_OF_TEXT:
                raise SendRejected(VendorError.PACKET, "prompttype is 2")
            return CallbackKind.PROMPT, _checked_text(
                application, fields.get("promptfile"), "promptfile", MAX_TEXT_CHARS
            )
        case "sendtvoice":
            return CallbackKind.PROMPT, template_text(application, fields.get("tpl_id"), fields.get("params"))
        case "sendfvoice":
            fid = optional_text(fields.get("fid"))
            if fid not in application.files:
                raise SendRejected(VendorError.PARAMETERS, "there is no file of this fid")
            return CallbackKind.PROMPT, f"[{fid}]"
        case _:
            code = _checked_text(application, optional_text(fields.get("msg")), "msg", MAX_CODE_CHARS)
            if not code.isascii() or not code.isdigit():
                raise SendRejected(VendorError.PARAMETERS, "msg holds digits")
            return CallbackKind.CODE, code


def _checked_text(application: Application, text: object, name: str, longest: int) -> str:
    if not isinstance(text, str) or not text:
        raise SendRejected(VendorError.PACKET, f"{name} is missing")
    check_length(name, text, longest)
    return check_sensitive_words(application, text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
