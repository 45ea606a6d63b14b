"""The vendor's own SDKs, as they come from their registries, send by the emulator; a gateway knows what became of it."""

import hmac
import html
import json
import os
import re
import socket
import subprocess
import sys
import time
import uuid
from base64 import b64encode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import nodejs as node
import pytest
from cloud import VoiceCloud, signed
from gateway import CALLBACK, Gateway
from gateway import run as gateway_run
from qcloudsms_py import (  # type: ignore[import-untyped]
    CodeVoiceSender,
    FileVoiceSender,
    PromptVoiceSender,
    TtsVoiceSender,
    VoiceFileUploader,
)
from qcloudsms_py.httpclient import HTTPRequest, HTTPResponse, HTTPSimpleClient  # type: ignore[import-untyped]
from receivers.process import await_true
from tencentcloud.common.credential import Credential  # type: ignore[import-untyped]
from tencentcloud.common.exception.tencent_cloud_sdk_exception import (  # type: ignore[import-untyped]
    TencentCloudSDKException,
)
from tencentcloud.common.profile.client_profile import ClientProfile  # type: ignore[import-untyped]
from tencentcloud.common.profile.http_profile import HttpProfile  # type: ignore[import-untyped]
from tencentcloud.vms.v20200902 import models  # type: ignore[import-untyped]
from tencentcloud.vms.v20200902.vms_client import VmsClient  # type: ignore[import-untyped]

from answerback.emulator.settings import DEFAULT_CREDENTIALS

LIBRARY = "tencentcloud-sdk-nodejs-common@4.1.220"
SEND_BY_NODE = """
const { CommonClient } = require("tencentcloud-sdk-nodejs-common");
const { host, secretId, secretKey, calls } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const client = new CommonClient(host, "2020-09-02", {
  credential: { secretId, secretKey },
  region: "ap-guangzhou",
  profile: { httpProfile: { endpoint: host, protocol: "http://" } },
});
const one = ([action, fields]) => client.request(action, fields).catch((error) => ({ code: error.code }));
Promise.all(calls.map(one)).then((answers) => process.stdout.write(JSON.stringify(answers)));
"""
OLD_LIBRARY = "qcloudsms_js@0.1.1"
SEND_BY_OLD_NODE = """
const https = require("https");
const sms = require("qcloudsms_js");
const { url, port, appId, appKey } = JSON.parse(require("fs").readFileSync(0, "utf8"));
https.globalAgent.defaultPort = port;
const library = sms(appId, appKey);
const use = (sender, operation, method, ...given) =>
  new Promise((resolve, reject) => {
    sender.url = `${url}/${operation}`;
    sender[method](...given, (error, _, answer) => (error ? reject(error) : resolve(answer)));
  });
(async () => {
  const file = await use(library.VoiceFileUploader(), "uploadvoicefile", "upload", Buffer.from("RIFF"), "wav");
  const answers = [
    await use(library.PromptVoiceSender(), "sendvoiceprompt", "send", "86", "13800138000", 2, "磁盘已满", 2, ""),
    await use(library.CodeVoiceSender(), "sendcvoice", "send", "86", "13800138002", "5678", 2, ""),
    await use(library.TtsVoiceSender(), "sendtvoice", "send", "86", "13800138004", 1001, ["磁盘已满"], 2, ""),
    await use(library.FileVoiceSender(), "sendfvoice", "send", "86", "13800138108", file.fid, 2, ""),
  ];
  process.stdout.write(JSON.stringify([...answers, file]));
})();
"""
SEND = "/v5/tlsvoicesvr"
BECAME: dict[str, dict[str, object]] = {
    "000": {"outcome": "answered", "result": 0, "talk_seconds": 20, "fee_minutes": 1, "keys": [], "failure_code": None},
    "001": {"outcome": "answered", "result": 0, "talk_seconds": 75, "fee_minutes": 2, "keys": [], "failure_code": None},
    "002": {"outcome": "unanswered", "result": 1, "answered_at": None, "fee_minutes": 0, "failure_code": 5},
    "004": {"outcome": "answered", "result": 0, "keys": ["1"], "failure_code": None},
    "007": {"outcome": "failed", "result": None, "kind": "failure", "failure_code": 5, "failure_reason": "无人接听"},
    "011": {"outcome": "answered", "result": 0, "failure_code": None},
    "108": {"outcome": "unanswered", "result": 1, "failure_code": 8, "failure_reason": "空号"},
}
"""What the table of numbers says, in the gateway's words."""


class Client(HTTPSimpleClient):  # type: ignore[misc]  # the package has no types
    """The package's client; its own json() wants Python 3.8 or older."""

    def fetch(self, request: HTTPRequest) -> HTTPResponse:
        """Send, with an answer that can be read."""
        response = super().fetch(request)
        response.json = lambda: json.loads(response.body)
        return response


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The SDKs go straight to the emulator, whatever the environment says."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture(scope="module")
def cloud(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceCloud]:
    """An emulator that calls the gateway back at once."""
    with VoiceCloud(tmp_path_factory.mktemp("cloud"), gateway.url + CALLBACK, instant=True) as running:
        yield running


def check(cloud: VoiceCloud, gateway: Gateway, callid: str, mobile: str) -> dict[str, Any]:
    """The gateway has heard of the call, and what the number's ending says became of it."""
    assert uuid.UUID(callid).version == 1
    cloud.await_finished()
    record, expected = gateway.call(callid), BECAME[mobile[-3:]]
    assert {name: record[name] for name in expected} == expected
    assert cloud.call(callid)["outcome"] == record["outcome"]
    assert (record["nationcode"], record["mobile"]) == ("86", mobile)
    return record


# Python, API 2.0.


def old(sender: type[Any], key: str = DEFAULT_CREDENTIALS["app_key"]) -> Any:
    """A sender of API 2.0."""
    return sender(int(DEFAULT_CREDENTIALS["app_id"]), key, Client())


@pytest.mark.parametrize("mobile", ["13800138000", "13800138001", "13800138002", "13800138011"])
def test_python_2_sends_a_notification(cloud: VoiceCloud, gateway: Gateway, mobile: str) -> None:
    """PromptVoiceSender's callid is the one in the callback, early or late."""
    url = f"{cloud.url}{SEND}/sendvoiceprompt"
    answer = old(PromptVoiceSender).send("86", mobile, 2, "磁盘已满", ext="mine", url=url)
    assert (answer["result"], answer["errmsg"], answer["ext"]) == (0, "OK", "mine")
    assert check(cloud, gateway, answer["callid"], mobile)["kind"] == "prompt"


def test_a_callback_may_come_before_the_answer(cloud: VoiceCloud, gateway: Gateway) -> None:
    """By the ending 011 the gateway knows of the call as soon as its sender does."""
    callid = cloud.send("13800138011")
    assert gateway.call(callid)["outcome"] == "answered"


@pytest.mark.parametrize("operation", ["sendcvoice", "sendvoice"])
def test_python_2_sends_a_code(cloud: VoiceCloud, gateway: Gateway, operation: str) -> None:
    """CodeVoiceSender, by the documented name and by its alias."""
    answer = old(CodeVoiceSender).send("86", "13800138002", "5678", url=f"{cloud.url}{SEND}/{operation}")
    assert check(cloud, gateway, answer["callid"], "13800138002")["kind"] == "code"


def test_python_2_sends_a_template(cloud: VoiceCloud, gateway: Gateway) -> None:
    """TtsVoiceSender, and a key is pressed."""
    url = f"{cloud.url}{SEND}/sendtvoice"
    answer = old(TtsVoiceSender).send(1001, ["磁盘已满"], "13800138004", url=url)
    check(cloud, gateway, answer["callid"], "13800138004")
    assert cloud.call(answer["callid"])["text"] == "告警：磁盘已满，请尽快处理。"


def test_python_2_uploads_a_file_and_plays_it(cloud: VoiceCloud, gateway: Gateway) -> None:
    """VoiceFileUploader's fid is one that FileVoiceSender can send."""
    uploaded = old(VoiceFileUploader).upload(b"ID3" + bytes(range(256)), url=f"{cloud.url}{SEND}/uploadvoicefile")
    assert uploaded["result"] == 0
    answer = old(FileVoiceSender).send(uploaded["fid"], "13800138108", url=f"{cloud.url}{SEND}/sendfvoice")
    check(cloud, gateway, answer["callid"], "13800138108")


def test_python_2_gets_its_mistakes_reported(cloud: VoiceCloud) -> None:
    """The result is the vendor's number, and no call is made."""
    before = len(cloud.calls())
    url = f"{cloud.url}{SEND}/sendvoiceprompt"
    wrong_key, right = old(PromptVoiceSender, "another"), old(PromptVoiceSender)
    answers = [
        wrong_key.send("86", "13800138000", 2, "x", url=url),
        right.send("86", "13800138000", 2, "x", playtimes=4, url=url),
        right.send("86", "+8613800138000", 2, "x", url=url),
        right.send("86", "13800138000", 2, "x" * 101, url=url),
        right.send("86", "13800138000", 2, "x", url=f"{cloud.url}{SEND}/sendnothing"),
        PromptVoiceSender(1400000002, "x", Client()).send("86", "13800138000", 2, "x", url=url),
        old(TtsVoiceSender).send(9999, [], "13800138000", url=f"{cloud.url}{SEND}/sendtvoice"),
    ]
    assert [answer["result"] for answer in answers] == [1001, 1004, 1004, 1036, 1011, 1019, 1014]
    assert len(cloud.calls()) == before


# Python, API 3.0.


def new(
    cloud: VoiceCloud,
    secret_id: str = DEFAULT_CREDENTIALS["secret_id"],
    secret_key: str = DEFAULT_CREDENTIALS["secret_key"],
) -> VmsClient:
    """A client of API 3.0."""
    http = HttpProfile(protocol="http", endpoint=httpx.URL(cloud.url).netloc.decode())
    return VmsClient(Credential(secret_id, secret_key), "ap-guangzhou", ClientProfile(httpProfile=http))


def template(mobile: str, **changes: object) -> models.SendTtsVoiceRequest:
    """A request for a notification."""
    fields = {
        "VoiceSdkAppid": DEFAULT_CREDENTIALS["app_id"],
        "TemplateId": "1001",
        "TemplateParamSet": ["磁盘已满"],
        "CalledNumber": f"+86{mobile}",
        "SessionContext": "mine",
    }
    request = models.SendTtsVoiceRequest()
    request.from_json_string(json.dumps(fields | changes))
    return request


@pytest.mark.parametrize("mobile", ["13800138000", "13800138007", "13800138011"])
def test_python_3_sends_a_template(cloud: VoiceCloud, gateway: Gateway, mobile: str) -> None:
    """SendTtsVoice's CallId is the one in the callback; the SessionContext comes back."""
    answer = new(cloud).SendTtsVoice(template(mobile))
    assert answer.SendStatus.SessionContext == "mine"
    assert uuid.UUID(answer.RequestId)
    check(cloud, gateway, answer.SendStatus.CallId, mobile)


def test_python_3_sends_a_code(cloud: VoiceCloud, gateway: Gateway) -> None:
    """SendCodeVoice, to somebody who does not answer."""
    request = models.SendCodeVoiceRequest()
    request.VoiceSdkAppid = DEFAULT_CREDENTIALS["app_id"]
    request.CodeMessage = "5678"
    request.CalledNumber = "+8613800138002"
    callid = new(cloud).SendCodeVoice(request).SendStatus.CallId
    assert check(cloud, gateway, callid, "13800138002")["kind"] == "code"


@pytest.mark.parametrize(
    ("changes", "keys", "code"),
    [
        ({}, {"secret_key": "another"}, "AuthFailure.SignatureFailure"),
        ({}, {"secret_id": "another"}, "AuthFailure.SecretIdNotFound"),
        ({"TemplateId": "9"}, {}, "FailedOperation.TemplateIncorrectOrUnapproved"),
        ({"VoiceSdkAppid": "9"}, {}, "UnauthorizedOperation.VoiceSdkAppidVerifyFail"),
        ({"CalledNumber": "13800138000"}, {}, "InvalidParameterValue.CalledNumberVerifyFail"),
        ({"PlayTimes": 9}, {}, "FailedOperation.InvalidParameters"),
        ({"TemplateParamSet": ["x" * 101]}, {}, "InvalidParameterValue.ContentLengthLimit"),
    ],
)
def test_python_3_raises_its_mistakes(
    cloud: VoiceCloud, changes: dict[str, object], keys: dict[str, str], code: str
) -> None:
    """The SDK's own exception, with the documented code and a RequestId."""
    with pytest.raises(TencentCloudSDKException) as caught:
        new(cloud, **keys).SendTtsVoice(template("13800138000", **changes))
    assert caught.value.get_code() == code
    assert caught.value.get_message()
    assert uuid.UUID(caught.value.get_request_id())


# Node, API 3.0.


@pytest.fixture(scope="session")
def node_modules(pytestconfig: pytest.Config) -> Path:
    """Where the SDK for Node is."""
    return node.install(pytestconfig, LIBRARY)


def run(
    program: list[str | Path],
    modules: Path | None = None,
    given: object = None,
    variables: Mapping[str, str | Path] | None = None,
) -> str:
    """Run a program of a developer's: what it prints."""
    done = subprocess.run(
        program,
        env=os.environ | ({"NODE_PATH": str(modules)} if modules else {}) | dict(variables or {}),
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_node_3_sends_and_gets_its_mistakes_reported(cloud: VoiceCloud, gateway: Gateway, node_modules: Path) -> None:
    """The SDK for Node signs with the first label of the endpoint as the service, and is understood."""
    fields = {
        "VoiceSdkAppid": DEFAULT_CREDENTIALS["app_id"],
        "TemplateId": "1001",
        "TemplateParamSet": ["磁盘已满"],
        "CalledNumber": "+8613800138108",
        "SessionContext": "mine",
    }
    code = {"VoiceSdkAppid": DEFAULT_CREDENTIALS["app_id"], "CodeMessage": "5678", "CalledNumber": "+8613800138002"}
    given = {
        "host": httpx.URL(cloud.url).netloc.decode(),
        "secretId": DEFAULT_CREDENTIALS["secret_id"],
        "secretKey": DEFAULT_CREDENTIALS["secret_key"],
        "calls": [("SendTtsVoice", fields), ("SendCodeVoice", code), ("SendTtsVoice", fields | {"TemplateId": "9"})],
    }
    sent, sent_code, refused = json.loads(run([node.NODE, "-e", SEND_BY_NODE], node_modules, given))
    assert sent["SendStatus"]["SessionContext"] == "mine"
    check(cloud, gateway, sent["SendStatus"]["CallId"], "13800138108")
    assert check(cloud, gateway, sent_code["SendStatus"]["CallId"], "13800138002")["kind"] == "code"
    assert refused == {"code": "FailedOperation.TemplateIncorrectOrUnapproved"}


@pytest.fixture(scope="module")
def secure_cloud(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VoiceCloud]:
    """An emulator with a certificate that it has made."""
    with VoiceCloud(tmp_path_factory.mktemp("secure"), gateway.url + CALLBACK, https=True, instant=True) as running:
        yield running


def test_node_2_sends_over_https(secure_cloud: VoiceCloud, gateway: Gateway, pytestconfig: pytest.Config) -> None:
    """The older SDK for Node: each of its senders, and a file; all it needs is a port and whom to trust."""
    given = {
        "url": f"https://localhost{SEND}",
        "port": httpx.URL(secure_cloud.url).port,
        "appId": DEFAULT_CREDENTIALS["app_id"],
        "appKey": DEFAULT_CREDENTIALS["app_key"],
    }
    modules = node.install(pytestconfig, OLD_LIBRARY)
    answers = json.loads(
        run(
            [node.NODE, "-e", SEND_BY_OLD_NODE],
            modules,
            given,
            {"NODE_EXTRA_CA_CERTS": secure_cloud.reported["authority"]},
        )
    )
    assert [answer["result"] for answer in answers] == [0] * 5, answers
    for answer, mobile in zip(answers, ["13800138000", "13800138002", "13800138004", "13800138108"], strict=False):
        check(secure_cloud, gateway, answer["callid"], mobile)


def test_the_page_knows_what_is_to_be_trusted(secure_cloud: VoiceCloud) -> None:
    """Its program for Python 3.0 names the authority, as the printed one does, and it says so for all the others."""
    page = html.unescape(secure_cloud.client.get("/").text)
    assert f'certification="{secure_cloud.reported["authority"]}"' in page
    assert f"<code>{secure_cloud.reported['authority']}</code>" in page


def test_a_certificate_that_cannot_be_shown_is_named(tmp_path: Path) -> None:
    """One line, before anything listens."""
    (tmp_path / "no.pem").write_text("no certificate")
    done = gateway_run("emulate", "--port", "0", "--certificate", "no.pem", cwd=tmp_path)
    assert done.returncode == 1
    assert (
        "--certificate: no.pem cannot be used: it must hold a certificate and its key, without a password"
        in done.stderr
    )


def test_https_with_another_certificate_is_refused(tmp_path: Path) -> None:
    """One line, before anything listens."""
    done = gateway_run("emulate", "--port", "0", "--https", "--certificate", "my.pem", cwd=tmp_path)
    assert done.returncode == 1
    assert "--https makes a certificate of its own: leave out --certificate" in done.stderr


def test_without_the_library_the_extra_is_named(tmp_path: Path) -> None:
    """Asked for https without cryptography, the emulator does not start, and says what to install."""
    stub = tmp_path / "without" / "cryptography"
    stub.mkdir(parents=True)
    (stub / "__init__.py").touch()
    done = gateway_run("emulate", "--port", "0", "--https", cwd=tmp_path, settings={"PYTHONPATH": str(stub.parent)})
    assert done.returncode == 1
    assert 'pip install "answerback[emulator]"' in done.stderr


def test_an_address_that_is_taken_is_named(cloud: VoiceCloud, tmp_path: Path) -> None:
    """In the system's words, and no others."""
    port = cloud.url.rpartition(":")[2]
    done = gateway_run("emulate", "--port", port, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith(f"--host, --port: cannot listen on 127.0.0.1:{port}: Address already in use")


def test_a_program_is_made_for_a_url_alone(tmp_path: Path) -> None:
    """What is no URL cannot be filled in."""
    done = gateway_run("snippet", "python", "--url", "127.0.0.1:8020", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "--url: expected http://… or https://…, got 127.0.0.1:8020" in done.stderr


def test_a_language_without_an_sdk_for_an_api_is_named(tmp_path: Path) -> None:
    """The vendor has no SDK of API 2.0 for Go."""
    done = gateway_run("snippet", "go", "--api", "2.0", cwd=tmp_path)
    assert done.returncode == 1
    assert "--api: there is no program for API 2.0 in Go, only for 3.0" in done.stderr


def printed_programs(text: str) -> list[str]:
    """The programs in what `answerback emulate` prints, each of which begins with how its SDK is installed."""
    parts = re.split(r"\n.+, API [23]\.0\n", text.rpartition("\nPrograms in other languages")[0])
    return parts[1:]


@pytest.mark.parametrize("options", [{}, {"https": True}], ids=["http", "https"])
def test_the_printed_programs_run(
    gateway: Gateway, tmp_path: Path, pytestconfig: pytest.Config, options: dict[str, Any]
) -> None:
    """What `answerback emulate` prints to be pasted, and `answerback snippet` for another language: each sends.

    So do they over https, with no more than what is printed to make them trust the emulator.
    """
    modules = node.install(pytestconfig, LIBRARY), node.install(pytestconfig, OLD_LIBRARY)
    with VoiceCloud(tmp_path, gateway.url + CALLBACK, as_json=False, instant=True, **options) as cloud:
        for text in printed_programs(cloud.stdout):
            (tmp_path / "program.py").write_text(text, encoding="utf-8")
            variables = dict(re.findall(r"(SSL_CERT_FILE)=(\S+)", cloud.stdout)) if "qcloudsms_py" in text else {}
            callid = run([sys.executable, tmp_path / "program.py"], variables=variables)
            check(cloud, gateway, callid.strip(), "13800138004")
        for api, library in (("3.0", modules[0]), ("2.0", modules[1]))[: 2 if options else 1]:
            printed = gateway_run("snippet", "node", "--api", api, "--url", cloud.url, cwd=tmp_path)
            (tmp_path / "program.js").write_text(printed.stdout, encoding="utf-8")
            variables = dict(re.findall(r"(NODE_EXTRA_CA_CERTS)=(\S+)", cloud.stdout))
            callid = run([node.NODE, tmp_path / "program.js"], library, variables=variables)
            check(cloud, gateway, callid.strip(), "13800138004")


# What other SDKs send, byte by byte.


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "text/plain; charset=utf-8"},
        {"Conetent-Type": "application/json"},
    ],
    ids=str,
)
@pytest.mark.parametrize("in_chunks", [False, True])
def test_json_is_json_however_it_comes(cloud: VoiceCloud, headers: dict[str, str], *, in_chunks: bool) -> None:
    """Any Content-Type or none, whole or in chunks: API 2.0 is answered compactly, as plain application/json."""
    body = json.dumps(signed("13800138000")).encode()
    answer = cloud.client.post(
        f"{SEND}/sendvoiceprompt",
        params={"sdkappid": DEFAULT_CREDENTIALS["app_id"], "random": "7226249334"},
        content=iter([body[:40], body[40:]]) if in_chunks else body,
        headers=headers,
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.text.startswith('{"result":0,"errmsg":"OK","callid":"')


def test_an_answer_of_api_3_has_no_charset(cloud: VoiceCloud) -> None:
    """With one, the SDK for Python would return nothing; a refusal is HTTP 200 too, with a RequestId."""
    answer = cloud.client.post("/", content=b"{}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["Response"]["Error"]["Code"] == "MissingParameter"
    assert uuid.UUID(answer.json()["Response"]["RequestId"])


@pytest.mark.parametrize(
    "action",
    [
        {"params": {"Action": "SendTtsVoice"}},
        {"params": {"SecretId": "AKID", "Signature": "x"}},
        {"headers": {"X-TC-Action": ""}},
        {"headers": {"Authorization": "TC3-HMAC-SHA256 Credential=x"}},
    ],
    ids=str,
)
def test_a_get_that_names_an_action_or_is_signed_is_answered_as_an_api(
    cloud: VoiceCloud, action: dict[str, Any]
) -> None:
    """Never with the page, which is for whoever does neither."""
    answer = cloud.client.get("/", **action)
    assert answer.json()["Response"]["Error"]["Code"] == "MissingParameter"
    assert cloud.client.get("/").headers["content-type"].startswith("text/html")


def test_another_method_is_refused_as_the_api_does(cloud: VoiceCloud) -> None:
    """In JSON, with HTTP 200."""
    answer = cloud.client.put("/")
    assert (answer.status_code, answer.json()["Response"]["Error"]["Code"]) == (200, "UnsupportedProtocol")


@pytest.mark.parametrize("operation", ["pullstatus", "pullstatus4mobile", "sendsms"])
def test_the_sms_service_is_refused_in_its_own_words(cloud: VoiceCloud, operation: str) -> None:
    """Every SDK of API 2.0 can call it; its answer is the API's JSON."""
    answer = cloud.client.post("/v5/tlssmssvr/" + operation, content=b"{}")
    assert (answer.status_code, answer.json()["result"]) == (200, 1030)
    assert f"tlssmssvr/{operation}" in answer.json()["errmsg"]


def test_too_large_a_body_is_refused(cloud: VoiceCloud) -> None:
    """The emulator reads no more than it must."""
    answer = cloud.client.post(f"{SEND}/sendvoiceprompt", content=iter([b" " * 65_536] * 20))
    assert answer.json()["result"] == 1036


@pytest.mark.parametrize("path", ["/", f"{SEND}/sendvoiceprompt", "/calls"])
def test_who_hangs_up_is_noted_in_a_line(cloud: VoiceCloud, path: str) -> None:
    """Half a body and no more: it is the sender's fault, and no error of the emulator's."""
    with socket.create_connection(("127.0.0.1", httpx.URL(cloud.url).port)) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: emulator\r\nContent-Length: 100\r\n\r\n{{".encode())
    await_true(
        lambda: f"POST {path}: the sender hung up before its body had come" in cloud.stderr, lambda: cloud.stderr
    )
    assert "Traceback" not in cloud.stderr


def test_each_answer_is_in_the_log(cloud: VoiceCloud) -> None:
    """A line with the RequestId, or the operation, and what was answered; a stranger's words stay in their line."""
    sent = new(cloud).SendTtsVoice(template("13800138000"))
    refused = cloud.client.post("/", headers={"X-TC-Action": "a\tb"}).json()["Response"]
    cloud.post("sendnothing", {})
    lines = (
        f"API 3.0 'SendTtsVoice', request {sent.RequestId}: OK {sent.SendStatus.CallId}",
        f"API 3.0 'a\\tb', request {refused['RequestId']}: MissingParameter ",
        "API 2.0 /v5/tlsvoicesvr/sendnothing: 1011 there is no such interface",
    )
    await_true(lambda: all(line in cloud.stderr for line in lines), lambda: cloud.stderr)


def test_who_is_called_too_often_is_not_called(gateway: Gateway, tmp_path: Path) -> None:
    """With --limits the second call in half a minute is 1013, in API 3.0 by its code; nor may one ask too often."""
    options: dict[str, Any] = {"instant": True, "limits": True, "quiet": True, "requests_per_second": 1}
    with VoiceCloud(tmp_path, gateway.url + CALLBACK, **options) as cloud:
        cloud.send("13800138000")
        assert cloud.post("sendvoiceprompt", signed("13800138000"))["result"] == 1013
        codes = set()
        for _ in range(10):
            with pytest.raises(TencentCloudSDKException) as caught:
                new(cloud).SendTtsVoice(template("13800138000"))
            codes.add(caught.value.get_code())
        assert codes == {"LimitExceeded.DeliveryFrequencyLimit", "RequestLimitExceeded"}
        cloud.await_finished()
        assert len(cloud.calls()) == 1
        assert cloud.stderr == ""


def burst(cloud: VoiceCloud, requests: int) -> list[str]:
    """The code, or OK, of each of many requests of API 3.0 that are sent at once, signed by method v1."""
    host = httpx.URL(cloud.url).netloc.decode()
    fields = {
        "Action": "SendCodeVoice",
        "CalledNumber": "+8613800138000",
        "CodeMessage": "5678",
        "Nonce": "7",
        "Region": "ap-guangzhou",
        "SecretId": DEFAULT_CREDENTIALS["secret_id"],
        "Timestamp": str(int(time.time())),
        "Version": "2020-09-02",
        "VoiceSdkAppid": DEFAULT_CREDENTIALS["app_id"],
    }
    text = f"GET{host}/?" + "&".join(f"{name}={value}" for name, value in fields.items())
    signature = b64encode(hmac.digest(DEFAULT_CREDENTIALS["secret_key"].encode(), text.encode(), "sha1")).decode()
    request = f"GET /?{urlencode(fields | {'Signature': signature})} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", httpx.URL(cloud.url).port), timeout=30) as connection:
        connection.sendall(request * requests)
        answered = b""
        while answered.count(b'"RequestId"') < requests:
            answered += connection.recv(65536)
    return [code.decode() or "OK" for code in re.findall(rb'\{"Response":\{(?:"Error":\{"Code":"(\w+))?', answered)]


def test_requests_are_limited_as_in_the_cloud_unless_calls_are_instant(
    cloud: VoiceCloud, gateway: Gateway, tmp_path: Path
) -> None:
    """Twenty in a second for an action, which may be two seconds here; by --instant any number. --snippet says for whom it prints."""
    with VoiceCloud(tmp_path, gateway.url + CALLBACK, as_json=False, snippet="go") as limited:
        codes = burst(limited, 45)
        assert set(codes) == {"OK", "RequestLimitExceeded"}
        assert codes.count("OK") <= 40
        printed = gateway_run("snippet", "go", "--url", limited.url, cwd=tmp_path).stdout
        assert f"\nGo, API 3.0\n{printed}\nPrograms in other languages" in limited.stdout
    assert burst(cloud, 45) == ["OK"] * 45


def test_a_schedule_that_is_none_is_named(tmp_path: Path) -> None:
    """One line, before anything listens."""
    done = gateway_run("emulate", "--port", "0", "--retry-delays", "5,soon", cwd=tmp_path)
    assert done.returncode == 1
    assert "--retry-delays: expected seconds between commas, such as 5,10, not 5,soon" in done.stderr
