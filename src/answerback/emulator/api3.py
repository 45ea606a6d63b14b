"""API 3.0 as the SDKs speak it: the two actions of service vms, version 2020-09-02, by GET and POST; pure.

Source: "SendTtsVoice", product 1128/51558, and "SendCodeVoice", product 1128/51559.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import msgspec

from answerback.domain.models import CallbackKind
from answerback.emulator.send_requests import (
    MAX_CODE_CHARS,
    Account,
    Application,
    SendRequest,
    check_length,
    optional_text,
    read_fields,
    split_number,
    template_text,
)
from answerback.emulator.signatures import ApiRequest, check_signature, require
from answerback.emulator.vendor_errors import SendRejected, VendorError

VERSION = "2020-09-02"
ACTIONS = {"SendTtsVoice": CallbackKind.PROMPT, "SendCodeVoice": CallbackKind.CODE}

_COMMON_FIELDS = {"CalledNumber", "VoiceSdkAppid", "PlayTimes", "SessionContext"}
_FIELDS = {
    CallbackKind.PROMPT: _COMMON_FIELDS | {"TemplateId", "TemplateParamSet"},
    CallbackKind.CODE: _COMMON_FIELDS | {"CodeMessage"},
}
_V1_FIELDS = {
    *("Action", "Version", "Region", "Timestamp", "Nonce", "SecretId", "Signature", "SignatureMethod"),
    *("Token", "Language", "RequestClient"),
}
_PLAYS = range(1, 4)
_MAX_CONTEXT_CHARS = 512
_ITEM = re.compile(r"(\w+)\.([0-9]{1,4})", re.ASCII)


def parse_send_request(account: Account, request: ApiRequest, now_s: float) -> SendRequest:
    """The call that a request asks for. Raises SendRejected."""
    if request.method not in ("GET", "POST"):
        raise SendRejected(VendorError.UNSUPPORTED_PROTOCOL, f"GET and POST are served, not {request.method}")
    require(request.common, "Action", "Version", "Timestamp", "Region")
    check_signature(account, request, now_s)
    kind = _kind(request.common)
    flat = request.uses_v1 or request.method == "GET"
    fields = _nested_fields(request.parameters) if flat else read_fields(request.body)
    content = "TemplateId" if kind is CallbackKind.PROMPT else "CodeMessage"
    require(fields, content, "CalledNumber", "VoiceSdkAppid")
    if unknown := fields.keys() - _FIELDS[kind] - (_V1_FIELDS if request.uses_v1 else set()):
        raise SendRejected(
            VendorError.UNKNOWN_PARAMETER, f"{min(unknown)}; there are {', '.join(sorted(_FIELDS[kind]))}"
        )
    plays = fields.get("PlayTimes", 2)
    if not isinstance(plays, int) or isinstance(plays, bool) or plays not in _PLAYS:
        raise SendRejected(VendorError.PARAMETERS, "PlayTimes is 1, 2 or 3")
    application = _application(account, fields)
    if kind is CallbackKind.PROMPT:
        text = template_text(application, fields["TemplateId"], fields.get("TemplateParamSet"))
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


def encode_accepted(callid: str, session_context: str, request_id: str) -> bytes:
    status = {"CallId": callid, "SessionContext": session_context}
    return msgspec.json.encode({"Response": {"SendStatus": status, "RequestId": request_id}})


def rejected(refusal: SendRejected, request_id: str) -> bytes:
    error = {"Code": refusal.error.code, "Message": refusal.message}
    return msgspec.json.encode({"Response": {"Error": error, "RequestId": request_id}})


def _kind(common: Mapping[str, str]) -> CallbackKind:
    if common["Version"] != VERSION:
        raise SendRejected(VendorError.NO_SUCH_VERSION, f"{common['Version']}; there is {VERSION}")
    kind = ACTIONS.get(common["Action"])
    if kind is None:
        raise SendRejected(VendorError.INVALID_ACTION, f"{common['Action']}; there are {', '.join(ACTIONS)}")
    return kind


def _nested_fields(parameters: Mapping[str, str]) -> dict[str, Any]:
    """The fields that flat parameters stand for: `TemplateParamSet.0` is the first of an array, PlayTimes a number."""
    arrays: defaultdict[str, dict[int, str]] = defaultdict(dict)
    fields: dict[str, Any] = {}
    for name, value in parameters.items():
        if item := _ITEM.fullmatch(name):
            arrays[item[1]][int(item[2])] = value
        else:
            fields[name] = int(value) if name == "PlayTimes" and value in map(str, _PLAYS) else value
    return fields | {name: [items[place] for place in sorted(items)] for name, items in arrays.items()}


def _application(account: Account, fields: Mapping[str, Any]) -> Application:
    app_id = optional_text(fields["VoiceSdkAppid"]) or ""
    application = account.applications.get(app_id)
    if application is None:
        raise SendRejected(VendorError.SDK_APPLICATION, f"VoiceSdkAppid={app_id}")
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
    return split_number(number)
