"""API 3.0 as the SDKs speak it: TC3-HMAC-SHA256, and the two actions of service vms, version 2020-09-02; pure.

Source: "Signature Method v3" and "SendTtsVoice", "SendCodeVoice" of the API reference.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import phonenumbers

from answerback.domain.models import CallbackKind
from answerback.emulator.send_requests import (
    MAX_CODE_CHARS,
    Account,
    Application,
    SendRequest,
    check_length,
    optional_text,
    read_fields,
    template_text,
)
from answerback.emulator.vendor_errors import SendRejected, VendorError

VERSION = "2020-09-02"
ACTIONS = {"SendTtsVoice": CallbackKind.PROMPT, "SendCodeVoice": CallbackKind.CODE}

_MAX_CLOCK_SKEW_S = 300
_PLAYS = range(1, 4)
_MAX_CONTEXT_CHARS = 512
_PORT = re.compile(r":[0-9]+$")
_AUTHORIZATION = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/ ,]+)/(\d{4}-\d\d-\d\d)/([^/ ,]+)/tc3_request, ?"
    r"SignedHeaders=([\w;-]+), ?Signature=([0-9a-f]{64})"
)


def parse_send_request(account: Account, headers: Mapping[str, str], body: bytes, now_s: float) -> SendRequest:
    """The call that a request asks for; `headers` with small names, as received. Raises Refused."""
    verify(account, headers, body, now_s)
    kind = _kind(headers)
    fields = read_fields(body)
    plays = fields.get("PlayTimes", 2)
    if not isinstance(plays, int) or isinstance(plays, bool) or plays not in _PLAYS:
        raise SendRejected(VendorError.PARAMETERS, "PlayTimes is 1, 2 or 3")
    application = _application(account, fields)
    if kind is CallbackKind.PROMPT:
        text = template_text(application, fields.get("TemplateId"), fields.get("TemplateParamSet"))
    else:
        text = _code(fields)
    nationcode, mobile = _callee(fields)
    context = fields.get("SessionContext") or ""
    if not isinstance(context, str) or len(context) > _MAX_CONTEXT_CHARS:
        raise SendRejected(
            VendorError.PARAMETERS, f"SessionContext is a string of up to {_MAX_CONTEXT_CHARS} characters"
        )
    return SendRequest(
        app_id=application.app_id,
        kind=kind,
        nationcode=nationcode,
        mobile=mobile,
        text=text,
        plays=plays,
        session_context=context,
    )


def verify(account: Account, headers: Mapping[str, str], body: bytes, now_s: float) -> None:
    """Check the signature, with the service and the headers that it names itself. Raises Refused."""
    found = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if found is None:
        raise SendRejected(
            VendorError.TC3_SIGNATURE, "Authorization: TC3-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…"
        )
    secret_id, date, service, signed, given = found.groups()
    secret_key = account.secrets.get(secret_id)
    if secret_key is None:
        raise SendRejected(VendorError.TC3_SECRET_ID, secret_id)
    timestamp = headers.get("x-tc-timestamp", "")
    if not re.fullmatch(r"[0-9]{1,12}", timestamp) or abs(int(timestamp) - now_s) > _MAX_CLOCK_SKEW_S:
        raise SendRejected(
            VendorError.TIME,
            f"X-TC-Timestamp is {timestamp or 'missing'}, here it is {round(now_s)}; 5 minutes are allowed",
        )
    if date != datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d"):
        raise SendRejected(
            VendorError.TC3_SIGNATURE, "the date of the credential is not that of X-TC-Timestamp, in UTC"
        )
    names = signed.split(";")
    if not {"content-type", "host"} <= set(names):
        raise SendRejected(VendorError.TC3_SIGNATURE, "SignedHeaders holds content-type and host at least")
    fitting = _signatures(secret_key, date, service, timestamp, names, headers, body)
    if not any(hmac.compare_digest(one, given) for one in fitting):
        raise SendRejected(VendorError.TC3_SIGNATURE)


def encode_accepted(callid: str, session_context: str, request_id: str) -> bytes:
    """The answer to a send."""
    status = {"CallId": callid, "SessionContext": session_context}
    return msgspec.json.encode({"Response": {"SendStatus": status, "RequestId": request_id}})


def rejected(refusal: SendRejected, request_id: str) -> bytes:
    """The answer to a mistake."""
    error = {"Code": refusal.error.code, "Message": refusal.message}
    return msgspec.json.encode({"Response": {"Error": error, "RequestId": request_id}})


def _signatures(
    secret_key: str, date: str, service: str, timestamp: str, names: list[str], headers: Mapping[str, str], body: bytes
) -> Iterator[str]:
    """Each signature that fits."""
    scope = f"{date}/{service}/tc3_request"
    key = _hmac(_hmac(_hmac(f"TC3{secret_key}".encode(), date), service), "tc3_request")
    hashed_body = hashlib.sha256(b"UNSIGNED-PAYLOAD" if _is_unsigned(headers) else body).hexdigest()
    for values in _canonical_values(headers):
        lines = "".join(f"{name}:{values.get(name, '')}\n" for name in names)
        canonical = f"POST\n/\n\n{lines}\n{';'.join(names)}\n{hashed_body}"
        to_sign = f"TC3-HMAC-SHA256\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        yield hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _canonical_values(headers: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The headers as they may have been signed.

    In lowercase letters, as it is described; as they are but for the action, as SDKs do it; and with the host as the SDK
    for Node has it, without the port.
    """
    small = {name: value.strip().lower() for name, value in headers.items()}
    for host in dict.fromkeys((headers.get("host", ""), _PORT.sub("", headers.get("host", "")))):
        yield small | {"host": host.lower()}
        yield small | {"host": host, "content-type": headers.get("content-type", "")}


def _is_unsigned(headers: Mapping[str, str]) -> bool:
    return headers.get("x-tc-content-sha256") == "UNSIGNED-PAYLOAD"


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _kind(headers: Mapping[str, str]) -> CallbackKind:
    if headers.get("x-tc-version") != VERSION:
        raise SendRejected(VendorError.INTERFACE, f"X-TC-Version is {VERSION}")
    kind = ACTIONS.get(action := headers.get("x-tc-action", ""))
    if kind is None:
        raise SendRejected(VendorError.INTERFACE, f"X-TC-Action is {' or '.join(ACTIONS)}, not {action}")
    return kind


def _application(account: Account, fields: Mapping[str, Any]) -> Application:
    app_id = optional_text(fields.get("VoiceSdkAppid"))
    if app_id is None:
        raise SendRejected(VendorError.PARAMETERS, "VoiceSdkAppid is missing")
    application = account.applications.get(app_id)
    if application is None:
        raise SendRejected(VendorError.SDK_APPLICATION, f"VoiceSdkAppid {app_id}")
    if application.disabled:
        raise SendRejected(VendorError.DISABLED)
    return application


def _code(fields: Mapping[str, Any]) -> str:
    code = fields.get("CodeMessage")
    if not isinstance(code, str) or not code.isascii() or not code.isdigit():
        raise SendRejected(VendorError.PARAMETERS, "CodeMessage holds digits")
    check_length("CodeMessage", code, MAX_CODE_CHARS)
    return code


def _callee(fields: Mapping[str, Any]) -> tuple[str, str]:
    """The called number as nationcode and the rest."""
    number = fields.get("CalledNumber")
    if not isinstance(number, str) or not re.fullmatch(r"\+[1-9][0-9]{5,14}", number):
        raise SendRejected(VendorError.CALLEE, "CalledNumber is +, the country's code and the number")
    try:
        nationcode = str(phonenumbers.parse(number).country_code)
    except phonenumbers.NumberParseException as error:
        raise SendRejected(VendorError.CALLEE, str(error)) from error
    return nationcode, number[1 + len(nationcode) :]
