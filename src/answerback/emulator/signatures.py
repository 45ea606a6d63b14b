"""The signatures of API 3.0: TC3-HMAC-SHA256, and the older method v1 with HmacSHA1 or HmacSHA256; pure.

Source: "Signature Method v3" and "Signature Method" (v1) of the API reference of product 1128; its "Common Error Codes",
product 1128/51567.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from answerback.emulator.send_requests import Account, check_clock
from answerback.emulator.vendor_errors import SendRejected, VendorError

_MAX_CLOCK_SKEW_S = 300
_TC3 = "TC3-HMAC-SHA256"
_V1_HASHES = {"HmacSHA1": hashlib.sha1, "HmacSHA256": hashlib.sha256}
_V1_NAMES = ("Action", "Signature", "SecretId")
_COMPARE = "this is what is signed of the request as it arrived; compare it with yours."
_CONTENT_SHA256, _UNSIGNED = "x-tc-content-sha256", "UNSIGNED-PAYLOAD"
_HOST = "vms.tencentcloudapi.com"
_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_PHP_ITEM = re.compile(r"(.+)\[[0-9]+\]")
_PORT = re.compile(r":[0-9]+$")
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~\w-]+) +(.*)", re.ASCII | re.DOTALL)
_PARAMETER = re.compile(r'[\s,]*([!#$%&\'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]*))\s*(?:,|$)', re.ASCII)
_CREDENTIAL = re.compile(r"([^/]+)/(\d{4}-\d\d-\d\d)/([^/]+)/tc3_request", re.ASCII)


class ApiRequest(NamedTuple):
    """A request as received: `query` without "?", `headers` with names in lowercase."""

    method: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def parameters(self) -> dict[str, str]:
        """The query's parameters or, where they are POSTed as a form, those of the body."""
        if self.method == "GET":
            return dict(parse_qsl(self.query, keep_blank_values=True))
        if self.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM:
            return {}
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    @property
    def uses_v1(self) -> bool:
        """Whether action, time and signature are among the parameters; by TC3 they are headers."""
        if "authorization" in self.headers or "x-tc-action" in self.headers:
            return False
        return not self.parameters.keys().isdisjoint(_V1_NAMES)

    @property
    def is_for_the_api(self) -> bool:
        """Whether it is meant for the API; a browser's GET names no action, and signs nothing."""
        signed = _TC3 in self.headers.get("authorization", "").upper()
        return signed or "x-tc-action" in self.headers or not self.parameters.keys().isdisjoint(_V1_NAMES)

    @property
    def common(self) -> Mapping[str, str]:
        """The common parameters by the names of method v1, where they are there."""
        if self.uses_v1:
            return self.parameters
        names = ("Action", "Version", "Timestamp", "Region")
        return {name: value for name in names if (value := self.headers.get(f"x-tc-{name.lower()}"))}


def check_signature(account: Account, request: ApiRequest, now_s: float) -> None:
    """Check the signature, by the method that the request uses. Raises SendRejected."""
    (_check_v1 if request.uses_v1 else _check_tc3)(account, request, now_s)


def require(fields: Mapping[str, object], *names: str) -> None:
    """Raise SendRejected for the first of `names` that is absent."""
    for name in names:
        if fields.get(name) is None:
            raise SendRejected(VendorError.MISSING_PARAMETER, name)


def parse_credentials(header: str) -> tuple[str, dict[str, str]]:
    """The scheme and the parameters of an Authorization header, by RFC 9110, section 11.4; names in lowercase.

    Beyond it, a value may hold any character but white space, comma and quote. Not credentials: ("", {}).
    """
    found = _SCHEME.fullmatch(header.strip())
    if found is None:
        return "", {}
    parameters, place, text = {}, 0, found[2]
    while part := _PARAMETER.match(text, place):
        quoted, plain = part[2], part[3]
        parameters[part[1].lower()] = plain if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
        place = part.end()
    return (found[1], parameters) if not text[place:].strip(" \t,") else ("", {})


def _check_tc3(account: Account, request: ApiRequest, now_s: float) -> None:
    """Check TC3 with the service and the headers that the request names itself, for the SDKs differ in both."""
    headers = request.headers
    scheme, parts = parse_credentials(headers.get("authorization", ""))
    credential = _CREDENTIAL.fullmatch(parts.get("credential", ""))
    if scheme.upper() != _TC3 or credential is None or not parts.get("signedheaders") or not parts.get("signature"):
        raise SendRejected(
            VendorError.INVALID_AUTHORIZATION,
            f"it is {_TC3} Credential=<SecretId>/<date>/<service>/tc3_request, SignedHeaders=…, Signature=…",
        )
    secret_id, date, service = credential.groups()
    secret_key = _secret_key(account, secret_id)
    timestamp = headers.get("x-tc-timestamp", "")
    check_clock("X-TC-Timestamp", timestamp, now_s, _MAX_CLOCK_SKEW_S, VendorError.SIGNATURE_EXPIRE)
    day = datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d")
    if date != day:
        raise SendRejected(
            VendorError.TC3_SIGNATURE, f"the date of the credential is {date}, X-TC-Timestamp is {day} in UTC"
        )
    names = parts["signedheaders"].lower().split(";")
    if not {"content-type", "host"} <= set(names):
        raise SendRejected(VendorError.TC3_SIGNATURE, "SignedHeaders holds content-type and host at least")
    scope = f"{date}/{service}/tc3_request"
    key = _hmac(_hmac(_hmac(f"TC3{secret_key}".encode(), date), service), "tc3_request")

    def string_to_sign(canonical: str) -> str:
        return f"{_TC3}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"

    def fits(request: ApiRequest) -> bool:
        signed = map(string_to_sign, _canonical_requests(request, names))
        return any(_same(_hmac(key, text).hex(), parts["signature"]) for text in signed)

    if not fits(request):
        differs = next((words for words, changed in _likely_differences(request) if fits(changed)), "")
        canonical = next(_canonical_requests(request, names))
        explained = f"Canonical request:\n{canonical}\nString to sign:\n{string_to_sign(canonical)}"
        raise SendRejected(VendorError.TC3_SIGNATURE, f"{differs}{_COMPARE}\n{explained}")


def _check_v1(account: Account, request: ApiRequest, now_s: float) -> None:
    """Check method v1: all parameters but the signature, sorted by name and not encoded."""
    parameters = request.parameters
    require(parameters, "SecretId", "Nonce", "Signature")
    secret_key = _secret_key(account, parameters["SecretId"])
    check_clock("Timestamp", parameters.get("Timestamp"), now_s, _MAX_CLOCK_SKEW_S, VendorError.SIGNATURE_EXPIRE)
    method = parameters.get("SignatureMethod", "HmacSHA1")
    if method not in _V1_HASHES:
        raise SendRejected(VendorError.TC3_SIGNATURE, f"SignatureMethod is {' or '.join(_V1_HASHES)}, not {method}")

    def fits(parameters: Mapping[str, str]) -> bool:
        digests = (
            hmac.digest(secret_key.encode(), text.encode(), _V1_HASHES[method])
            for text in _strings_to_sign(request, parameters)
        )
        return any(_same(b64encode(digest).decode(), parameters["Signature"]) for digest in digests)

    if not fits(parameters):
        by_php = {(item[1] if (item := _PHP_ITEM.fullmatch(name)) else name): text for name, text in parameters.items()}
        by_php |= dict.fromkeys(by_php.keys() - parameters.keys(), "Array")
        differs = (
            "PHP has signed the word Array for a list, a fault of its SDK: use TC3-HMAC-SHA256; "
            if fits(by_php)
            else ""
        )
        explained = f"String to sign, by {method}:\n{next(_strings_to_sign(request, parameters))}"
        raise SendRejected(VendorError.TC3_SIGNATURE, f"{differs}{_COMPARE}\n{explained}")


def _strings_to_sign(request: ApiRequest, parameters: Mapping[str, str]) -> Iterator[str]:
    pairs = "&".join(f"{name}={value}" for name, value in sorted(parameters.items()) if name != "Signature")
    for host in _hosts(request.headers):
        yield f"{request.method}{host}/?{pairs}"


def _likely_differences(request: ApiRequest) -> Iterator[tuple[str, ApiRequest]]:
    """What a sender may have signed in place of what arrived, in words."""
    for name, value in (("host", _HOST), ("content-type", _JSON), ("content-type", f"{_JSON}; charset=utf-8")):
        got = request.headers.get(name, "")
        yield (
            f"{name}:{value} was signed, {name}:{got} arrived; ",
            request._replace(headers={**request.headers, name: value}),
        )
    yield "a body was sent but none was signed; ", request._replace(body=b"")
    unsigned = {**request.headers, _CONTENT_SHA256: _UNSIGNED}
    yield f"{_UNSIGNED} was signed, without the header {_CONTENT_SHA256}; ", request._replace(headers=unsigned)


def _secret_key(account: Account, secret_id: str) -> str:
    secret_key = account.secrets.get(secret_id)
    if secret_key is None:
        raise SendRejected(VendorError.TC3_SECRET_ID, secret_id)
    return secret_key


def _canonical_requests(request: ApiRequest, names: list[str]) -> Iterator[str]:
    """The request as it may have been signed.

    With the headers as they are, as SDKs do it, or in lowercase letters, as it is described; and with the host as the
    SDK for Node has it, without the port.
    """
    unsigned = request.headers.get(_CONTENT_SHA256) == _UNSIGNED
    payload = hashlib.sha256(_UNSIGNED.encode() if unsigned else request.body).hexdigest()
    query = request.query if request.method == "GET" else ""
    small = {name: value.strip().lower() for name, value in request.headers.items()}
    for host in _hosts(request.headers):
        as_is = small | {"host": host, "content-type": request.headers.get("content-type", "")}
        for values in (as_is, small | {"host": host.lower()}):
            lines = "".join(f"{name}:{values.get(name, '')}\n" for name in names)
            yield f"{request.method}\n/\n{query}\n{lines}\n{';'.join(names)}\n{payload}"


def _hosts(headers: Mapping[str, str]) -> Mapping[str, None]:
    host = headers.get("host", "")
    return dict.fromkeys((host, _PORT.sub("", host)))


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _same(expected: str, given: str) -> bool:
    return hmac.compare_digest(expected.encode(), given.encode())
