"""API 3.0 of the emulator: TC3 as the vendor describes it, and each mistake by its documented code."""

import hashlib
import hmac
import json
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.models import CallbackKind
from answerback.emulator import api3
from answerback.emulator.send_requests import Account, Application, SendRequest
from answerback.emulator.signatures import ApiRequest, parse_credentials
from answerback.emulator.vendor_errors import SendRejected

NOW_S = 1_551_113_065  # 2019-02-25T16:44:25Z: in China it is the next day
APP_ID = "1400000001"
SECRET_ID, SECRET_KEY = "AKIDEXAMPLE", "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
JSON = "application/json"
TTS = {
    "VoiceSdkAppid": APP_ID,
    "TemplateId": "1001",
    "TemplateParamSet": ["db1", "disk full"],
    "CalledNumber": "+8613788888888",
    "PlayTimes": 3,
    "SessionContext": "mine",
}
CODE = {"VoiceSdkAppid": APP_ID, "CodeMessage": "5678", "CalledNumber": "+8613788888888"}
ABSENT: Any = object()


def account(**changes: Any) -> Account:
    """An account with one application."""
    given = {
        "app_id": APP_ID,
        "app_key": "",
        "callback_url": "http://127.0.0.1:9/",
        "templates": {"1001": "{1}: {2}!"},
        "sensitive_words": ["casino"],
    }
    return Account(applications={APP_ID: Application(**given | changes)}, secrets={SECRET_ID: SECRET_KEY})


def sign(
    body: bytes,
    action: str = "SendTtsVoice",
    *,
    signed_headers: str = "content-type;host",
    key: str = SECRET_KEY,
    service: str = "vms",
    as_is: Sequence[str] = (),
    **changes: str,
) -> dict[str, str]:
    """The headers of a request, signed step by step as "Signature Method v3" describes it.

    `changes` are headers, with _ for -; they are there when it is signed. The values of those named in `as_is` are
    not put in lowercase letters, as SDKs do it.
    """
    headers = {
        "host": "127.0.0.1:8020",
        "content-type": JSON,
        "x-tc-action": action,
        "x-tc-version": "2020-09-02",
        "x-tc-timestamp": str(NOW_S),
        "x-tc-region": "ap-guangzhou",
    } | {name.replace("_", "-"): value for name, value in changes.items()}
    timestamp = headers["x-tc-timestamp"]
    # 1. The canonical request: names and values in lowercase letters, each line ended.
    lines = ""
    for name in signed_headers.split(";"):
        value = headers[name]
        lines += f"{name}:{value if name in as_is else value.lower()}\n"
    canonical = "\n".join(["POST", "/", "", lines, signed_headers, hashlib.sha256(body).hexdigest()])
    # 2. The string to sign, with the date in UTC.
    date = time.strftime("%Y-%m-%d", time.gmtime(int(timestamp)))
    scope = f"{date}/{service}/tc3_request"
    text = "\n".join(["TC3-HMAC-SHA256", timestamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    # 3. A key made of a key made of a key, and the signature.
    secret = ("TC3" + key).encode()
    for part in (date, service, "tc3_request"):
        secret = hmac.digest(secret, part.encode(), "sha256")
    signature = hmac.digest(secret, text.encode(), "sha256").hex()
    # 4. The header.
    return headers | {
        "authorization": f"TC3-HMAC-SHA256 Credential={SECRET_ID}/{scope}, "
        f"SignedHeaders={signed_headers}, Signature={signature}"
    }


def read(fields: object, headers: Mapping[str, str] | None = None, **changes: Any) -> SendRequest:
    """The order, signed unless the headers are given; a bytes body is sent as it is."""
    body = fields if isinstance(fields, bytes) else json.dumps(fields).encode()
    given: dict[str, Any] = {"account": account(), "now_s": NOW_S} | changes
    request = ApiRequest(given.get("method", "POST"), "", sign(body) if headers is None else headers, body)
    return api3.parse_send_request(given["account"], request, given["now_s"])


def code_of(fields: object, headers: Mapping[str, str] | None = None, **changes: Any) -> str:
    """Why the request is refused, as the answer says it."""
    with pytest.raises(SendRejected) as caught:
        read(fields, headers, **changes)
    response = json.loads(api3.rejected(caught.value, "r"))["Response"]
    assert response == {"Error": {"Code": caught.value.error.code, "Message": caught.value.message}, "RequestId": "r"}
    return str(response["Error"]["Code"])


def without(fields: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The fields but one."""
    return {key: value for key, value in fields.items() if key != name}


def encoded(fields: object) -> bytes:
    """The body."""
    return json.dumps(fields).encode()


def test_a_template_is_sent() -> None:
    """SendTtsVoice is a notification with the template's text."""
    assert read(TTS) == SendRequest(
        app_id=APP_ID,
        kind=CallbackKind.PROMPT,
        nationcode="86",
        mobile="13788888888",
        text="db1: disk full!",
        plays=3,
        session_context="mine",
    )


def test_a_code_is_sent() -> None:
    """SendCodeVoice is a code; it is played twice where nothing is said."""
    assert read(CODE, sign(encoded(CODE), "SendCodeVoice")) == SendRequest(
        app_id=APP_ID, kind=CallbackKind.CODE, nationcode="86", mobile="13788888888", text="5678", plays=2
    )


@pytest.mark.parametrize(
    ("number", "nationcode", "mobile"),
    [("+12025550100", "1", "2025550100"), ("+85251234567", "852", "51234567"), ("+447911123456", "44", "7911123456")],
)
def test_a_number_is_taken_apart(number: str, nationcode: str, mobile: str) -> None:
    """A number in E.164 is told apart into nationcode and mobile, as callbacks tell it."""
    order = read(TTS | {"CalledNumber": number})
    assert (order.nationcode, order.mobile) == (nationcode, mobile)


@pytest.mark.parametrize(
    "how",
    [
        {"signed_headers": "content-type;host"},
        {"signed_headers": "content-type;host;x-tc-action"},
        {"signed_headers": "content-type;host;x-tc-action;x-tc-timestamp"},
        {"content_type": "application/json; charset=utf-8"},
        {"content_type": "application/json; charset=UTF-8", "host": "Localhost:8020"},
        {
            "content_type": "application/json; charset=UTF-8",
            "host": "Localhost:8020",
            "as_is": ("content-type", "host"),
        },
        {"service": "127"},
        {"host": "vms.example.com"},
        {"x_tc_region": "ap-guangzhou", "x_tc_language": "zh-CN"},
    ],
    ids=str,
)
def test_whatever_is_signed_by_the_rules_fits(how: dict[str, Any]) -> None:
    """The signed headers, the Content-Type, the service and the host are the sender's choice."""
    assert read(TTS, sign(encoded(TTS), **how)).mobile == "13788888888"


def test_a_host_may_be_signed_without_its_port() -> None:
    """The SDK for Node signs the name alone; another name does not fit."""
    headers = sign(encoded(TTS), host="localhost")
    assert read(TTS, headers | {"host": "localhost:8020"})
    assert code_of(TTS, headers | {"host": "otherhost:8020"}) == "AuthFailure.SignatureFailure"


@pytest.mark.parametrize(
    "change",
    [
        (", ", ","),
        (" Credential", "  Credential"),
        (", ", " ,, "),
        ("=", " = "),
        ("TC3-HMAC", "tc3-hmac"),
        ("SignedH", "signedh"),
    ],
    ids=str,
)
def test_the_authorization_is_read_as_http_has_it(change: tuple[str, str]) -> None:
    """RFC 9110 leaves white space, empty elements and the case of names to the sender; the SDK for .NET writes two spaces."""
    headers = sign(encoded(TTS))
    assert read(TTS, headers | {"authorization": headers["authorization"].replace(*change)})


@pytest.mark.parametrize(
    ("header", "credentials"),
    [
        ("Basic a=b", ("Basic", {"a": "b"})),
        (r'X  a="b, \"c\\", D=/e;f/', ("X", {"a": 'b, "c\\', "d": "/e;f/"})),
        ("X a=", ("X", {"a": ""})),
        ("X", ("", {})),
        ("X a=b c=d", ("", {})),
        ('X a="b', ("", {})),
        ("", ("", {})),
    ],
)
def test_credentials_are_taken_apart(header: str, credentials: tuple[str, dict[str, str]]) -> None:
    """Quoted or not, in any case; what is no list of parameters is none."""
    assert parse_credentials(header) == credentials


def test_a_signature_that_does_not_fit_is_explained() -> None:
    """The refusal holds the canonical request and the string to sign, of what was received."""
    with pytest.raises(SendRejected) as caught:
        read(TTS, sign(encoded(TTS), key="another"))
    hashed = hashlib.sha256(encoded(TTS)).hexdigest()
    canonical = f"POST\n/\n\ncontent-type:{JSON}\nhost:127.0.0.1:8020\n\ncontent-type;host\n{hashed}"
    to_sign = f"TC3-HMAC-SHA256\n{NOW_S}\n2019-02-25/vms/tc3_request\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    assert f"Canonical request:\n{canonical}\nString to sign:\n{to_sign}" in caught.value.message
    assert SECRET_KEY not in caught.value.message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"host": "vms.tencentcloudapi.com"}, "host:vms.tencentcloudapi.com was signed, host:127.0.0.1:8020 arrived; "),
        (
            {"content_type": "application/json; charset=utf-8"},
            "content-type:application/json; charset=utf-8 was signed, content-type:application/json arrived; ",
        ),
        (
            {"x_tc_region": "ap-guangzhou", "signed_headers": "content-type;host;x-tc-region"},
            ": this is what is signed",
        ),
    ],
    ids=str,
)
def test_a_likely_difference_is_named(changes: dict[str, Any], words: str) -> None:
    """Where what was signed can be guessed from what does fit, the refusal says it first."""
    with pytest.raises(SendRejected) as caught:
        read(TTS, sign(encoded(TTS), **changes) | {"host": "127.0.0.1:8020", "content-type": JSON, "x-tc-region": "x"})
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("signed", "words"),
    [(b"", "a body was sent but none was signed"), (b"UNSIGNED-PAYLOAD", "without the header x-tc-content-sha256")],
)
def test_a_body_that_was_not_signed_is_named(signed: bytes, words: str) -> None:
    """A common mistake of a client of one's own."""
    with pytest.raises(SendRejected) as caught:
        read(TTS, sign(signed))
    assert words in caught.value.message


# Method v1.

FLAT = {
    "Action": "SendTtsVoice",
    "Version": "2020-09-02",
    "Region": "ap-guangzhou",
    "Timestamp": str(NOW_S),
    "Nonce": "11886",
    "SecretId": SECRET_ID,
    "SignatureMethod": "HmacSHA256",
    "VoiceSdkAppid": APP_ID,
    "TemplateId": "1001",
    "TemplateParamSet.1": "disk full",
    "TemplateParamSet.0": "db 1",
    "CalledNumber": "+8613788888888",
    "PlayTimes": "3",
    "SessionContext": "mine",
}


def sign_v1(parameters: Mapping[str, str], method: str = "POST", host: str = "127.0.0.1:8020") -> dict[str, str]:
    """The parameters with their signature, as "Signature Method" (v1) describes it."""
    name = {"HmacSHA1": "sha1", "HmacSHA256": "sha256"}.get(parameters.get("SignatureMethod", "HmacSHA1"), "md5")
    text = f"{method}{host}/?" + "&".join(f"{key}={parameters[key]}" for key in sorted(parameters))
    return dict(parameters) | {"Signature": b64encode(hmac.digest(SECRET_KEY.encode(), text.encode(), name)).decode()}


def read_v1(parameters: Mapping[str, str], method: str = "POST") -> SendRequest:
    """The order of a form, or of a query."""
    headers = {"host": "127.0.0.1:8020", "content-type": "application/x-www-form-urlencoded; charset=utf-8"}
    text = urlencode(parameters)
    query, body = (text, b"") if method == "GET" else ("", text.encode())
    return api3.parse_send_request(account(), ApiRequest(method, query, headers, body), NOW_S)


@pytest.mark.parametrize("algorithm", [{"SignatureMethod": "HmacSHA256"}, {"SignatureMethod": "HmacSHA1"}, {}], ids=str)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_method_v1_is_verified(algorithm: dict[str, str], method: str) -> None:
    """By either hash, HmacSHA1 where none is named, in a query or in a form; arrays come in the order of their numbers."""
    parameters = without(FLAT, "SignatureMethod") | algorithm
    order = read_v1(sign_v1(parameters, method), method)
    assert (order.text, order.plays, order.session_context) == ("db 1: disk full!", 3, "mine")


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        (sign_v1(FLAT) | {"Nonce": "1"}, "AuthFailure.SignatureFailure"),
        (sign_v1(FLAT | {"SignatureMethod": "HmacMD5"}), "AuthFailure.SignatureFailure"),
        (sign_v1(FLAT, "GET"), "AuthFailure.SignatureFailure"),
        (sign_v1(FLAT) | {"Signature": "ü"}, "AuthFailure.SignatureFailure"),
        (sign_v1(FLAT | {"SecretId": "AKIDOTHER"}), "AuthFailure.SecretIdNotFound"),
        (sign_v1(FLAT | {"Timestamp": str(NOW_S - 301)}), "AuthFailure.SignatureExpire"),
        (sign_v1(FLAT | {"Action": "SendVoice"}), "InvalidAction"),
        (sign_v1(FLAT | {"Version": "2021-01-11"}), "NoSuchVersion"),
        (sign_v1(FLAT | {"PlayTimes": "4"}), "FailedOperation.InvalidParameters"),
        *(
            (sign_v1(without(FLAT, name)), "MissingParameter")
            for name in ("Action", "Region", "Nonce", "SecretId", "TemplateId")
        ),
        (sign_v1(FLAT | {"PlayTime": "1"}), "UnknownParameter"),
        (FLAT, "MissingParameter"),
    ],
)
def test_a_mistake_in_method_v1_has_its_code(parameters: dict[str, str], code: str) -> None:
    """The same codes as by TC3."""
    with pytest.raises(SendRejected) as caught:
        read_v1(parameters)
    assert caught.value.error.code == code


def test_a_signature_of_method_v1_that_does_not_fit_is_explained() -> None:
    """The refusal holds the string to sign, of what was received."""
    with pytest.raises(SendRejected) as caught:
        read_v1(sign_v1(FLAT) | {"Nonce": "1"})
    assert "\nPOST127.0.0.1:8020/?Action=SendTtsVoice&CalledNumber=+8613788888888&Nonce=1&" in caught.value.message


def test_a_name_like_many_lists_takes_no_longer() -> None:
    """It is looked at once, not from each of its letters on."""
    began_s = time.process_time()
    with pytest.raises(SendRejected):
        read_v1(sign_v1(FLAT) | {"a[1" * 100_000: "x"})
    assert time.process_time() - began_s < 5


@pytest.mark.parametrize("method", ["PUT", "HEAD", "DELETE"])
def test_another_method_has_its_code(method: str) -> None:
    """GET and POST are served."""
    assert code_of(TTS, method=method) == "UnsupportedProtocol"


@pytest.mark.parametrize("name", ["host", "content-type", "x-tc-action"])
def test_a_header_that_was_changed_does_not_fit(name: str) -> None:
    """What was signed is what counts."""
    headers = sign(encoded(TTS), signed_headers="content-type;host;x-tc-action")
    assert code_of(TTS, headers | {name: headers[name] + "x"}) == "AuthFailure.SignatureFailure"


_SIGNED = sign(encoded(TTS))


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (sign(encoded(TTS), key="another"), "AuthFailure.SignatureFailure"),
        (sign(encoded(CODE)), "AuthFailure.SignatureFailure"),
        (sign(encoded(TTS), signed_headers="host"), "AuthFailure.SignatureFailure"),
        (sign(encoded(TTS), signed_headers="content-type"), "AuthFailure.SignatureFailure"),
        (without(_SIGNED, "authorization"), "AuthFailure.InvalidAuthorization"),
        (_SIGNED | {"authorization": "Bearer x"}, "AuthFailure.InvalidAuthorization"),
        (_SIGNED | {"authorization": "TC3-HMAC-SHA256"}, "AuthFailure.InvalidAuthorization"),
        (_SIGNED | {"authorization": _SIGNED["authorization"] + " x"}, "AuthFailure.InvalidAuthorization"),
        (
            _SIGNED | {"authorization": _SIGNED["authorization"].replace("/tc3_request", "")},
            "AuthFailure.InvalidAuthorization",
        ),
        (_SIGNED | {"x-tc-timestamp": str(NOW_S + 1)}, "AuthFailure.SignatureFailure"),
        (
            _SIGNED | {"authorization": _SIGNED["authorization"].replace("2019-02-25", "2019-02-26")},
            "AuthFailure.SignatureFailure",
        ),
        (
            _SIGNED | {"authorization": _SIGNED["authorization"].replace("AKIDEXAMPLE", "AKIDOTHER")},
            "AuthFailure.SecretIdNotFound",
        ),
        (without(_SIGNED, "x-tc-timestamp"), "MissingParameter"),
        (_SIGNED | {"x-tc-timestamp": "now"}, "AuthFailure.SignatureExpire"),
        (_SIGNED | {"x-tc-timestamp": "٢"}, "AuthFailure.SignatureExpire"),
        (sign(encoded(TTS), "SendVoice"), "InvalidAction"),
        (without(_SIGNED, "x-tc-action"), "MissingParameter"),
        (without(_SIGNED, "x-tc-version"), "MissingParameter"),
        (without(_SIGNED, "x-tc-region"), "MissingParameter"),
        (sign(encoded(TTS), x_tc_version="2021-01-11"), "NoSuchVersion"),
    ],
)
def test_a_mistake_in_the_headers_has_its_code(headers: dict[str, str], code: str) -> None:
    """Signature, SecretId, clock, action and version: each is refused as such."""
    assert code_of(TTS, headers) == code


@pytest.mark.parametrize("off_s", [-301, 301, 86_400])
def test_a_clock_that_is_off_has_its_code(off_s: int) -> None:
    """More than five minutes apart is too far."""
    assert code_of(TTS, now_s=NOW_S + off_s) == "AuthFailure.SignatureExpire"


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        (str(NOW_S - 3600), "3600 s behind the emulator's clock; 300 s are allowed"),
        (str(NOW_S + 3600), "3600 s ahead of the emulator's clock"),
        (f"{NOW_S}000", "not whole seconds since 1970"),
    ],
    ids=["behind", "ahead", "milliseconds"],
)
def test_a_clock_that_is_off_is_explained(timestamp: str, words: str) -> None:
    """By how much: in the log the timestamp itself is masked, as anybody's number is."""
    with pytest.raises(SendRejected, match=words):
        read(TTS, sign(encoded(TTS)) | {"x-tc-timestamp": timestamp})


@pytest.mark.parametrize("off_s", [-300, 300])
def test_the_clock_may_be_off_by_five_minutes(off_s: int) -> None:
    """A sender whose clock is not too far off is served."""
    assert read(TTS, now_s=NOW_S + off_s)


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        (b"", "FailedOperation.InvalidJsonParameters"),
        (b"[]", "FailedOperation.InvalidJsonParameters"),
        (b"VoiceSdkAppid=1", "FailedOperation.InvalidJsonParameters"),
        (b'{"a":"\xff"}', "FailedOperation.InvalidJsonParameters"),
        (b"[" * 100_000, "FailedOperation.InvalidJsonParameters"),
        (TTS | {"PlayTimes": 0}, "FailedOperation.InvalidParameters"),
        (TTS | {"PlayTimes": 4}, "FailedOperation.InvalidParameters"),
        (TTS | {"PlayTimes": "2"}, "FailedOperation.InvalidParameters"),
        (TTS | {"PlayTimes": True}, "FailedOperation.InvalidParameters"),
        (TTS | {"TemplateParamSet": "db1"}, "FailedOperation.InvalidParameters"),
        (TTS | {"TemplateParamSet": ["db1", 2]}, "FailedOperation.InvalidParameters"),
        (TTS | {"SessionContext": 5}, "FailedOperation.InvalidParameters"),
        (TTS | {"SessionContext": "x" * 513}, "FailedOperation.InvalidParameters"),
        (without(TTS, "VoiceSdkAppid"), "MissingParameter"),
        (without(TTS, "TemplateId"), "MissingParameter"),
        (TTS | {"VoiceSdkAppid": "1400000002"}, "UnauthorizedOperation.VoiceSdkAppidVerifyFail"),
        (TTS | {"TemplateId": "9"}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        (TTS | {"TemplateId": None}, "MissingParameter"),
        (TTS | {"Action": "SendTtsVoice"}, "UnknownParameter"),
        (TTS | {"CodeMessage": "5678"}, "UnknownParameter"),
        (TTS | {"TemplateParamSet": ["db1"]}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        (without(TTS, "TemplateParamSet"), "FailedOperation.TemplateIncorrectOrUnapproved"),
        (TTS | {"TemplateParamSet": ["casino", "x"]}, "FailedOperation.ContainSensitiveWord"),
        (TTS | {"TemplateParamSet": ["x" * 101, "x"]}, "InvalidParameterValue.ContentLengthLimit"),
        (TTS | {"CalledNumber": "13788888888"}, "InvalidParameterValue.CalledNumberVerifyFail"),
        (TTS | {"CalledNumber": "+86 13788888888"}, "InvalidParameterValue.CalledNumberVerifyFail"),
        (TTS | {"CalledNumber": "+99913788888888"}, "InvalidParameterValue.CalledNumberVerifyFail"),
        (TTS | {"CalledNumber": "+8٣١٣٧٨٨٨٨٨٨"}, "InvalidParameterValue.CalledNumberVerifyFail"),
        (TTS | {"CalledNumber": 8613788888888}, "InvalidParameterValue.CalledNumberVerifyFail"),
        (without(TTS, "CalledNumber"), "MissingParameter"),
    ],
)
def test_a_mistake_in_the_body_has_its_code(fields: object, code: str) -> None:
    """Each parameter that does not fit is refused with the code of the vendor's table."""
    assert code_of(fields) == code


@pytest.mark.parametrize(
    ("message", "code"),
    [
        (None, "MissingParameter"),
        ("", "FailedOperation.InvalidParameters"),
        ("12a4", "FailedOperation.InvalidParameters"),
        (1234, "FailedOperation.InvalidParameters"),
        ("1" * 11, "InvalidParameterValue.ContentLengthLimit"),
    ],
)
def test_a_code_of_other_than_digits_has_its_code(message: object, code: str) -> None:
    """CodeMessage holds digits, and not too many."""
    fields = CODE | {"CodeMessage": message}
    assert code_of(fields, sign(encoded(fields), "SendCodeVoice")) == code


def test_a_disabled_application_has_its_code() -> None:
    """An application that is switched off calls nobody."""
    assert code_of(TTS, account=account(disabled=True)) == "UnauthorizedOperation.SdkAppidIsDisabled"


_HEADER = st.text(st.characters(max_codepoint=255), max_size=40)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from([*_SIGNED, "x-tc-content-sha256"]), _HEADER), st.binary())
def test_any_headers_and_bytes_are_refused(changes: dict[str, str], body: bytes) -> None:
    """Whatever comes in, the cloud has an answer."""
    with pytest.raises(SendRejected) as caught:
        read(body, _SIGNED | changes)
    assert json.loads(api3.rejected(caught.value, "r"))["Response"]["Error"]["Code"]


@given(
    st.sampled_from([*api3.ACTIONS, "x"]),
    st.sampled_from([TTS, CODE]),
    st.dictionaries(st.sampled_from([*TTS, *CODE]), _JSON, max_size=3) | _JSON,
)
def test_any_json_that_is_signed_is_an_order_or_a_refusal(action: str, content: dict[str, object], odd: Any) -> None:
    """Each parameter may hold anything: an order that can be told of, or a refusal."""
    body = encoded(content | odd if isinstance(odd, dict) else odd)
    try:
        order = read(body, sign(body, action))
    except SendRejected as refusal:
        code = refusal.error.code
    else:
        assert f"+{order.nationcode}{order.mobile}" == json.loads(body)["CalledNumber"]
        assert len(order.session_context) <= 512
        assert order.plays in (1, 2, 3)
        return
    assert not code.startswith("AuthFailure")


def test_the_answer_is_as_the_sdks_read_it() -> None:
    """CallId and SessionContext in SendStatus, and the RequestId beside it."""
    status = {"CallId": "c", "SessionContext": "mine"}
    assert json.loads(api3.encode_accepted("c", "mine", "r")) == {"Response": {"SendStatus": status, "RequestId": "r"}}
