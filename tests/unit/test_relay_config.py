import json
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from relay.factories import SECRET

from answerback.config import (
    EndpointSettings,
    RelaySettings,
    Settings,
    load_settings,
)
from answerback.domain.endpoints import EndpointConfig, PayloadFormat, validate_endpoint_name
from answerback.domain.models import CallbackKind, Outcome
from answerback.errors import ConfigError
from answerback.service.factories import config_endpoints, retry_policy

URL = "https://crm.example/voice"
TOKEN = "alerts-0123456789"
MINUTE, HOUR = 60, 3600


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(match: str, **overrides: Any) -> ConfigError:
    """The error that reading the settings raises."""
    with pytest.raises(ConfigError, match=match) as caught:
        load_settings(overrides=overrides)
    return caught.value


def crm(**fields: Any) -> dict[str, Any]:
    """The settings of one endpoint."""
    return {"endpoints": {"crm": {"url": URL} | fields}}


def toml(directory: Path, text: str) -> Settings:
    """The settings of a file."""
    (directory / "answerback.toml").write_text(text)
    return load_settings()


# The relay


def test_the_relay_keeps_the_schedule_of_the_issue() -> None:
    """5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h, 12 h with 20 %; a pause after 10 failures."""
    relay = RelaySettings()
    assert relay.retry_schedule_s == (
        5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR
    )  # fmt: skip
    assert (relay.jitter, relay.breaker_threshold, relay.allowed_networks) == (0.2, 10, ())
    assert relay.breaker_cooldowns_s == (5, 15, 30, 60)


def test_the_terms_are_the_settings() -> None:
    """What the relay goes by is what is set."""
    settings = load_settings(overrides={"relay": {"retry_schedule_s": [1, 2.5], "jitter": 0, "max_in_flight": 7}})
    terms = retry_policy(settings.relay)
    assert (terms.retry_schedule_s, terms.jitter, terms.max_in_flight) == ((1, 2.5), 0, 7)
    assert (terms.breaker_threshold, terms.breaker_cooldowns_s) == (10, (5, 15, 30, 60))


@pytest.mark.parametrize(
    ("relay", "match"),
    [
        ({"retry_schedule_s": [5, 0]}, r"^relay\.retry_schedule_s\.1: "),
        ({"retry_schedule_s": [-1]}, r"^relay\.retry_schedule_s\.0: "),
        ({"retry_schedule_s": ["soon"]}, r"^relay\.retry_schedule_s\.0: "),
        ({"retry_schedule_s": [float("nan")]}, r"^relay\.retry_schedule_s\.0: "),
        ({"retry_schedule_s": [float("inf")]}, r"^relay\.retry_schedule_s\.0: "),
        ({"retry_schedule_s": [1e300]}, r"^relay\.retry_schedule_s\.0: "),
        ({"retry_schedule_s": [1] * 101}, r"^relay\.retry_schedule_s: "),
        ({"retry_schedule_s": 5}, r"^relay\.retry_schedule_s: "),
        ({"jitter": -0.1}, r"^relay\.jitter: "),
        ({"jitter": 1}, r"^relay\.jitter: "),
        ({"jitter": float("nan")}, r"^relay\.jitter: "),
        ({"breaker_threshold": 0}, r"^relay\.breaker_threshold: "),
        ({"breaker_threshold": 1.5}, r"^relay\.breaker_threshold: "),
        ({"breaker_cooldowns_s": []}, r"^relay\.breaker_cooldowns_s: "),
        ({"breaker_cooldowns_s": [0]}, r"^relay\.breaker_cooldowns_s\.0: "),
        ({"breaker_cooldowns_s": [5, float("inf")]}, r"^relay\.breaker_cooldowns_s\.1: "),
        ({"max_in_flight": 0}, r"^relay\.max_in_flight: "),
        ({"shutdown_timeout_s": -1}, r"^relay\.shutdown_timeout_s: "),
        ({"shutdown_timeout_s": 61}, r"^relay\.shutdown_timeout_s: "),
        ({"allowed_networks": ["10.0.0.0/33"]}, r"^relay\.allowed_networks\.0"),
        ({"allowed_networks": ["10.0.0.1/8"]}, r"^relay\.allowed_networks\.0"),
        ({"allowed_networks": ["10.0.0.0/8", "crm.example"]}, r"^relay\.allowed_networks\.1"),
        ({"allowed_networks": "10.0.0.0/8"}, r"^relay\.allowed_networks: "),
        ({"retries": [5]}, r"^relay\.retries: there is no such setting$"),
    ],
)
def test_an_invalid_setting_of_the_relay_is_named(relay: dict[str, Any], match: str) -> None:
    """The error begins with the setting's name, and the place in a list."""
    refused(match, relay=relay)


def test_one_invalid_network_is_reported_once() -> None:
    """In words for people: not once as an IPv4 and once as an IPv6 network."""
    assert (
        str(refused("allowed_networks", relay={"allowed_networks": ["crm.example"]})).count("relay.allowed_networks")
        == 1
    )


def test_the_relay_may_be_set_to_try_once() -> None:
    """No pauses at all: what fails is dead; no jitter: no chance."""
    relay = load_settings(overrides={"relay": {"retry_schedule_s": [], "jitter": 0, "shutdown_timeout_s": 0}}).relay
    assert (relay.retry_schedule_s, relay.jitter, relay.shutdown_timeout_s) == ((), 0, 0)


def test_the_relay_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists are written in JSON."""
    monkeypatch.setenv("ANSWERBACK_RELAY__RETRY_SCHEDULE_S", "[1, 2.5]")
    monkeypatch.setenv("ANSWERBACK_RELAY__JITTER", "0.5")
    monkeypatch.setenv("ANSWERBACK_RELAY__ALLOWED_NETWORKS", '["10.0.0.0/8", "127.0.0.1", "fd00::/8"]')
    relay = load_settings().relay
    assert (relay.retry_schedule_s, relay.jitter) == ((1, 2.5), 0.5)
    assert relay.allowed_networks == (ip_network("10.0.0.0/8"), ip_network("127.0.0.1/32"), ip_network("fd00::/8"))


def test_the_relay_from_the_file(directory: Path) -> None:
    """The same in TOML."""
    relay = toml(
        directory, '[relay]\nretry_schedule_s = [1, 2.5]\nbreaker_threshold = 3\nallowed_networks = ["10.0.0.0/8"]\n'
    ).relay
    assert (relay.retry_schedule_s, relay.breaker_threshold) == ((1, 2.5), 3)
    assert relay.allowed_networks == (ip_network("10.0.0.0/8"),)


# The endpoints


def test_an_endpoint_needs_a_url_alone() -> None:
    """A signed webhook of everything, on, with a secret of its own; as the ledger's config has it."""
    settings = load_settings(overrides=crm())
    assert settings.endpoints["crm"] == EndpointSettings(url=URL)
    assert settings.endpoints["crm"].endpoint_config() == EndpointConfig(url=URL)
    wanted = config_endpoints(settings)["crm"]
    assert (wanted.channel, wanted.config, wanted.enabled, wanted.secret) == (
        "default",
        EndpointConfig(url=URL),
        True,
        None,
    )


def test_without_endpoints_nothing_is_delivered() -> None:
    """The default is none."""
    assert load_settings().endpoints == {}
    assert config_endpoints(load_settings()) == {}


def test_an_endpoint_of_the_file(directory: Path) -> None:
    """Everything that can be said of one, in TOML."""
    settings = toml(
        directory,
        f"""
        [channels.alerts]
        token = "{TOKEN}"
        [endpoints.crm]
        url = "{URL}"
        channel = "alerts"
        format = "tencent"
        enabled = false
        kinds = ["prompt", "key"]
        outcomes = ["failed"]
        notify_on_update = true
        timeout_s = 2.5
        concurrency = 3
        secret = "{SECRET}"
        certificate = "crm"

        [certificates.crm]
        ca_file = "/etc/ca.pem"
        """,
    )
    wanted = config_endpoints(settings)["crm"]
    assert (wanted.channel, wanted.enabled, wanted.secret) == ("alerts", False, SECRET)
    assert wanted.config == EndpointConfig(
        url=URL,
        format=PayloadFormat.TENCENT,
        kinds=(CallbackKind.PROMPT, CallbackKind.KEY),
        outcomes=(Outcome.FAILED,),
        notify_on_update=True,
        timeout_s=2.5,
        concurrency=3,
        certificate="crm",
    )


def test_an_endpoint_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable for each field; lists in JSON."""
    for field, value in {
        "URL": URL,
        "FORMAT": "tencent",
        "ENABLED": "false",
        "KINDS": '["prompt", "key"]',
        "OUTCOMES": '["failed"]',
        "NOTIFY_ON_UPDATE": "true",
        "TIMEOUT_S": "2.5",
        "CONCURRENCY": "3",
        "SECRET": SECRET,
    }.items():
        monkeypatch.setenv(f"ANSWERBACK_ENDPOINTS__CRM__{field}", value)
    endpoint = load_settings().endpoints["crm"]
    assert (endpoint.enabled, endpoint.secret) == (False, SecretStr(SECRET))
    assert endpoint.endpoint_config() == EndpointConfig(
        url=URL,
        format=PayloadFormat.TENCENT,
        kinds=(CallbackKind.PROMPT, CallbackKind.KEY),
        outcomes=(Outcome.FAILED,),
        notify_on_update=True,
        timeout_s=2.5,
        concurrency=3,
    )


def test_all_endpoints_in_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """As JSON, also with names that no variable can have."""
    monkeypatch.setenv("ANSWERBACK_ENDPOINTS", json.dumps({"crm-2": {"url": URL}}))
    assert load_settings().endpoints == {"crm-2": EndpointSettings(url=URL)}


def test_a_secret_may_come_from_the_environment(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the file says the rest."""
    monkeypatch.setenv("ANSWERBACK_ENDPOINTS__CRM__SECRET", SECRET)
    settings = toml(directory, f'[endpoints.crm]\nurl = "{URL}"\n')
    assert settings.endpoints["crm"] == EndpointSettings(url=URL, secret=SecretStr(SECRET))


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example",
        "HTTPS://CRM.EXAMPLE/",
        "https://crm.example:8443/a/b?c=d&e=%2F",
        "http://127.0.0.1:9000/",
        "http://[::1]:9000/",
        "http://localhost/",
        "https://客户.example/回调",
    ],
)
def test_a_url_that_fits(url: str) -> None:
    """Kept as it was written. Whether the address is allowed shows when it is connected to."""
    assert load_settings(overrides=crm(url=url)).endpoints["crm"].url == url


@pytest.mark.parametrize(
    "url",
    [
        "",
        "crm.example/voice",
        "/voice",
        "//crm.example/voice",
        "ftp://crm.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://",
        "http:///voice",
        "http://:80/",
        "http://crm.example:0/",
        "http://crm.example:65536/",
        "http://crm.example:port/",
        "http://[::1/",
        "http://[crm]/",
        "http://user@crm.example/",
        "http://user:password@crm.example/",
        "https://crm.example/#fragment",
        "https://crm.example/a b",
        " https://crm.example/",
        "https://crm.example/\n",
        "https://crm.example/\r\nX: y",
        "https://crm\x00.example/",
        f"https://crm.example/{'x' * 2048}",
        5,
        None,
    ],
)
def test_an_invalid_url_is_named(url: object) -> None:
    """The field is named; a password in it is never shown."""
    error = refused(r"^endpoints\.crm\.url: ", **crm(url=url))
    assert "password" not in str(error)
    assert "password" not in str(error.__cause__)


@given(
    st.text(max_size=40).flatmap(lambda text: st.sampled_from([text, f"http://{text}", f"https://crm.example{text}"]))
)
def test_every_text_is_a_url_or_is_refused(url: str) -> None:
    """Never another error, and what is accepted can be taken apart."""
    try:
        endpoint = load_settings(overrides=crm(url=url)).endpoints["crm"]
    except ConfigError as error:
        assert str(error).startswith("endpoints.crm.url: ")  # noqa: PT017  # either is fine
    else:
        assert endpoint.url == url
        assert url.lower().startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"url": ...}, r"^endpoints\.crm\.url: "),
        ({"format": "xml"}, r"^endpoints\.crm\.format: "),
        ({"enabled": "perhaps"}, r"^endpoints\.crm\.enabled: "),
        ({"kinds": ["prompts"]}, r"^endpoints\.crm\.kinds\.0: "),
        ({"kinds": "prompt"}, r"^endpoints\.crm\.kinds: "),
        ({"outcomes": ["answered", "lost"]}, r"^endpoints\.crm\.outcomes\.1: "),
        ({"notify_on_update": 5}, r"^endpoints\.crm\.notify_on_update: "),
        ({"timeout_s": 0}, r"^endpoints\.crm\.timeout_s: "),
        ({"timeout_s": 301}, r"^endpoints\.crm\.timeout_s: "),
        ({"timeout_s": float("inf")}, r"^endpoints\.crm\.timeout_s: "),
        ({"timeout_s": float("nan")}, r"^endpoints\.crm\.timeout_s: "),
        ({"concurrency": 0}, r"^endpoints\.crm\.concurrency: "),
        ({"concurrency": 1025}, r"^endpoints\.crm\.concurrency: "),
        ({"secret": ["whsec_"]}, r"^endpoints\.crm\.secret: "),
        ({"secret": "whsec_c2hvcnQ="}, r"^endpoints\.crm\.secret: expected whsec_ and the base64 of 24 to 64 bytes$"),
        ({"proxy": "http://u:p@proxy:3128"}, r"^endpoints\.crm\.proxy: contains a user name: only relay\.proxy"),
        ({"proxy": "socks5://proxy"}, r"^endpoints\.crm\.proxy: expected http://host:port of a proxy"),
        ({"success": "3xx"}, r"^endpoints\.crm\.success: expected contract, 2xx, json:path=value or text:words"),
        ({"headers": ["X-A"]}, r"^endpoints\.crm\.headers: "),
        ({"headers": {"": "a"}}, r"^endpoints\.crm\.headers: the name of a header is "),
        ({"headers": {"X A": "a"}}, r"^endpoints\.crm\.headers: the name of a header is "),
        ({"headers": {"X-A": ""}}, r"^endpoints\.crm\.headers: the value of X-A is 1 to 4096 printable"),
        ({"headers": {"X-A": "a\r\nHost: b"}}, r"^endpoints\.crm\.headers: the value of X-A is "),
        ({"headers": {"X-A": "é"}}, r"^endpoints\.crm\.headers: the value of X-A is "),
        ({"headers": {"X-A": "a" * 4097}}, r"^endpoints\.crm\.headers: the value of X-A is "),
        ({"headers": {"X-A": "…"}}, r"^endpoints\.crm\.headers: X-A needs its value"),
        ({"headers": {"X-A": "a", "x-a": "b"}}, r"^endpoints\.crm\.headers: a header is there twice"),
        ({"headers": {f"X-{n}": "a" for n in range(21)}}, r"^endpoints\.crm\.headers: more than 20 headers"),
        ({"headers": {f"X-{n}": "a" * 3000 for n in range(3)}}, r"^endpoints\.crm\.headers: more than .* 8192 bytes"),
        *[
            ({"headers": {name: "a"}}, rf"^endpoints\.crm\.headers: {name} is set by the gateway$")
            for name in (
                "Host",
                "content-length",
                "Webhook-Id",
                "webhook-signature",
                "Proxy-Authorization",
                "Connection",
            )
        ],
        ({"uri": URL}, r"^endpoints\.crm\.uri: there is no such setting$"),
        ({"channel": "alerts"}, r"^endpoints\.crm\.channel: there is no channel alerts$"),
        ({"channel": ""}, r"^endpoints\.crm\.channel: there is no channel "),
    ],
)
def test_an_invalid_field_of_an_endpoint_is_named(fields: dict[str, Any], match: str) -> None:
    """The error begins with the field's name, as it stands in the file."""
    given_ = {"url": URL} | fields
    refused(match, endpoints={"crm": {name: value for name, value in given_.items() if value is not ...}})


def test_every_invalid_endpoint_is_named_at_once() -> None:
    """One start tells of every mistake."""
    refused(
        r"endpoints\.a\.url: .*endpoints\.b\.timeout_s: ",
        endpoints={"a": {"url": "ftp://x/"}, "b": {"url": URL, "timeout_s": 0}},
    )


def test_an_endpoint_may_be_of_a_named_channel() -> None:
    """Of any channel that there is, and of `default`, which is always there."""
    channels = {"alerts": {"token": TOKEN}}
    for channel in ("alerts", "default"):
        settings = load_settings(overrides=crm(channel=channel) | {"channels": channels})
        assert settings.endpoints["crm"].channel == channel


@pytest.mark.parametrize("name", ["a", "crm", "crm-2", "crm_2", "2crm", "1-", "a" * 64, "endpoint-00ff"])
def test_a_name_that_fits(name: str) -> None:
    """Small letters, digits, - and _, up to 64, beginning with a letter or a digit."""
    assert validate_endpoint_name(name) is None
    assert name in load_settings(overrides={"endpoints": {name: {"url": URL}}}).endpoints


@pytest.mark.parametrize(
    "name", ["", "17", "0", "CRM", "crm.2", "crm 2", "-crm", "_crm", "a" * 65, "客户", "crm\n", "a/b"]
)
def test_an_invalid_name_is_named(name: str) -> None:
    """Digits alone would be taken for an id."""
    assert validate_endpoint_name(name) is not None
    error = refused("^endpoints", endpoints={name: {"url": URL}})
    assert str(error).startswith(f"endpoints.{name}: a name is up to 64 lowercase letters")


def test_the_password_of_the_proxy_is_not_shown() -> None:
    """It is in the settings, in none of their texts, and in no error."""
    proxy = "http://user:w0rd@proxy.example:3128"
    settings = load_settings(overrides={"relay": {"proxy": proxy}})
    assert settings.relay.proxy is not None
    assert settings.relay.proxy.get_secret_value() == proxy
    assert "w0rd" not in repr(settings) + settings.model_dump_json()
    error = refused(r"^relay\.proxy: expected http://host:port of a proxy", relay={"proxy": f"{proxy}/path"})
    assert "w0rd" not in str(error) + repr(error.__cause__)


def test_no_secret_of_an_endpoint_is_shown() -> None:
    """Neither in the settings' text nor in an error."""
    settings = load_settings(overrides=crm(secret=SECRET, headers={"X-Token": SECRET}))
    shown = (repr(settings), str(settings), settings.model_dump_json(), repr(settings.endpoints["crm"]))
    assert [text for text in shown if SECRET in text] == []
    error = refused(
        "endpoints", **crm(secret=SECRET, headers={"X-Token": SECRET, "X-Other": f"{SECRET}\n"}, timeout_s=0)
    )
    assert SECRET not in str(error) + str(error.__cause__) + repr(error.__cause__)
