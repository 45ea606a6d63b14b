import json
from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.endpoints import EndpointConfig, PayloadFormat
from answerback.domain.success_rule import parse_success_rule
from answerback.errors import InvalidResponse
from answerback.relay.response import ResponseResult, classify_response
from answerback.tencent.response import decode_response

BOM = b"\xef\xbb\xbf"
OK = b'{"result":0,"errmsg":"OK"}'
ACCEPTED = ResponseResult(None)

T, S = (
    EndpointConfig(url="https://crm.example/", format=form) for form in (PayloadFormat.TENCENT, PayloadFormat.STANDARD)
)

ANSWERS = st.one_of(
    st.binary(max_size=200),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(["result", "errmsg", "x"]), inner, max_size=3)
        ),
        max_leaves=6,
    ).map(lambda value: json.dumps(value).encode()),
    st.integers(-3, 3).map(lambda result: b'{"result":%d,"errmsg":"x"}' % result),
)
STATUSES = st.one_of(st.sampled_from([200, 204, 299, 302, 400, 410, 500]), st.integers(100, 999))


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b'{"result":0}',
        b'{"result":"0"}',
        b'{"result":"-0"}',
        b'{"result":0,"errmsg":null}',
        b'{"result":0,"errmsg":17}',
        b'{"result":0,"errmsg":{"more":[1]}}',
        b'{"result":0,"errmsg":"OK","ext":"x"}',
        b' {\n "errmsg": "OK", "result": 0 }\r\n',
        BOM + OK,
        '{"result":0,"errmsg":"成功"}'.encode("gbk"),
        b'{"result":0,"errmsg":"\xff"}',
        OK.decode().encode("utf-16"),
    ],
)
@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
def test_the_contracts_zero_is_accepted(status: int, answer: bytes) -> None:
    """With any 2xx, as number or numeric string, with or without errmsg, with a byte order mark."""
    assert classify_response(T, status, answer) == ACCEPTED


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b'{"result":1,"errmsg":"no such tenant"}', "answered result 1: no such tenant"),
        (b'{"result":"1","errmsg":"no"}', "answered result 1: no"),
        (b'{"result":-7}', "answered result -7"),
        (b'{"result":"007","errmsg":""}', "answered result 7"),
        (b'{"result":1,"errmsg":null}', "answered result 1"),
        (b'{"result":3,"errmsg":["a"]}', "answered result 3: ['a']"),
        (BOM + '{"result":2,"errmsg":"空号"}'.encode(), "answered result 2: 空号"),
    ],
)
def test_another_result_is_a_failure_with_its_errmsg(answer: bytes, words: str) -> None:
    """The endpoint's own words are kept, where it has some."""
    assert classify_response(T, 200, answer) == ResponseResult(words)


@pytest.mark.parametrize(
    "answer",
    [
        b"OK",
        b"<html>login</html>",
        b"[]",
        b"[0]",
        b"0",
        b"null",
        b"{}",
        b'{"errmsg":"OK"}',
        b'{"Result":0}',
        b'{"result":null}',
        b'{"result":false}',
        b'{"result":0.5}',
        b'{"result":""}',
        b'{"result":"OK"}',
        b'{"result":" 0"}',
        b'{"result":[0]}',
        b'{"result":0',
        b'{"result":0} trailing',
        b"\xff\xfe",
    ],
)
def test_what_is_not_the_contract_is_a_failure(answer: bytes) -> None:
    """A 2xx alone is no delivery: it takes a JSON object with a whole-number result."""
    error, gone = classify_response(T, 200, answer)
    assert error is not None
    assert error.startswith("answered 200, but not the contract's answer: ")
    assert not gone


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize("answer", [b"", OK, b'{"result":1}', b"\xff garbage"])
def test_a_webhook_is_accepted_by_its_status(status: int, answer: bytes) -> None:
    """With Standard Webhooks any 2xx is a delivery, whatever the answer says."""
    assert classify_response(S, status, answer) == ACCEPTED


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "answered 400 Bad Request"),
        (404, "answered 404 Not Found"),
        (429, "answered 429 Too Many Requests"),
        (500, "answered 500 Internal Server Error"),
        (503, "answered 503 Service Unavailable"),
        (599, "answered 599"),
        (999, "answered 999"),
        (100, "answered 100 Continue"),
        (199, "answered 199"),
    ],
)
@pytest.mark.parametrize("form", [T, S])
def test_any_other_status_is_a_failure(form: EndpointConfig, status: int, words: str) -> None:
    """The status is named, with its words where it has some."""
    assert classify_response(form, status, b"whatever") == ResponseResult(words)


@pytest.mark.parametrize("result", [0, 5])
def test_an_errmsg_behind_another_status_is_kept(result: int) -> None:
    """A failure that explains itself by the contract: the error has status and errmsg, and result 0 does not help."""
    answer = json.dumps({"result": result, "errmsg": "queue full"}).encode()
    assert classify_response(T, 503, answer) == ResponseResult(
        f"answered 503 Service Unavailable with result {result}: queue full"
    )


def test_only_a_webhook_endpoint_can_be_gone() -> None:
    """410 ends a webhook endpoint; in the cloud's contract it is a failure as any other."""
    assert classify_response(S, 410, b"") == ResponseResult("answered 410 Gone", gone=True)
    assert classify_response(T, 410, b"") == ResponseResult("answered 410 Gone")
    assert classify_response(T, 410, OK) == ResponseResult("answered 410 Gone with result 0: OK")


@pytest.mark.parametrize("form", [T, S])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_a_failure_that_says_what_to_do(form: EndpointConfig, status: int) -> None:
    """Redirects are not followed, the words tell to which host, even with an answer that would do."""
    error, gone = classify_response(form, status, OK, "https://crm.example/new")
    assert error is not None
    assert error.startswith(f"answered {status}")
    assert " to https://crm.example: redirects are not followed, give the endpoint the URL it leads to" in error
    assert not gone


@pytest.mark.parametrize("location", [None, ""])
@pytest.mark.parametrize("form", [T, S])
def test_a_redirect_without_a_location_is_a_failure(form: EndpointConfig, location: str | None) -> None:
    """A redirect without a location is reported as such."""
    error, _ = classify_response(form, 302, b"", location)
    assert error is not None
    assert error.startswith("answered 302 Found: redirects are not followed")


@pytest.mark.parametrize("form", [T, S])
def test_a_long_location_is_cut(form: EndpointConfig) -> None:
    """What an endpoint says does not make the words endless."""
    error, _ = classify_response(form, 302, b"", "https://crm.example/" + "x" * 10_000)
    assert error is not None
    assert len(error) < 500
    assert "https://crm.example:" in error


def test_a_location_without_a_host_is_another_path() -> None:
    """The error does not say which: in paths secrets live."""
    error, _ = classify_response(S, 302, b"", "/hooks/k3y?token=s3cret")
    assert (
        error == "answered 302 Found to another path: redirects are not followed, give the endpoint the URL it leads to"
    )


@pytest.mark.parametrize("status", [200, 500])
def test_a_long_errmsg_is_cut(status: int) -> None:
    """The first 300 characters are kept."""
    answer = json.dumps({"result": 1, "errmsg": "空" * 10_000}).encode()
    error, _ = classify_response(T, status, answer)
    assert error is not None
    assert error.count("空") == 300


@pytest.mark.parametrize(
    "answer",
    [b'{"result":' + b"9" * 5000 + b"}", b'{"result":"' + b"9" * 5000 + b'"}', b"[" * 5000, b'{"result":' * 5000],
)
def test_an_absurd_answer_is_a_failure(answer: bytes) -> None:
    """Endless numbers and depths are judged as anything else."""
    assert classify_response(T, 200, answer).error is not None


@pytest.mark.parametrize("answer", [b"", BOM, b"\r\n"])
def test_an_empty_answer_is_called_empty(answer: bytes) -> None:
    """A 2xx with nothing behind it is what a handler gives that forgot to answer."""
    assert classify_response(T, 200, answer) == ResponseResult("answered 200, but the response is empty")


def test_the_charset_of_the_answer_is_used_for_its_words() -> None:
    """What the receiver says is shown as it meant it."""
    answer = '{"result":1,"errmsg":"表"}'.encode("big5")
    assert classify_response(T, 200, answer, charset="big5") == ResponseResult("answered result 1: 表")


@given(st.sampled_from([T, S]), STATUSES, ANSWERS, st.one_of(st.none(), st.text(max_size=30)))
def test_every_answer_is_judged(form: EndpointConfig, status: int, answer: bytes, location: str | None) -> None:
    """Any bytes with any status are a judgement, accepted exactly if the format's contract says so; never an exception."""
    error, gone = classify_response(form, status, answer, location)
    accepted = 200 <= status < 300 and (form is S or _result(answer) == 0)
    assert (error is None) == accepted
    assert gone == (form is S and status == HTTPStatus.GONE)
    assert error is None or (error.startswith("answered ") and len(error) < 1000)


def _result(answer: bytes) -> int | None:
    try:
        return decode_response(answer).result
    except InvalidResponse:
        return None


# The endpoint's own rule.


def ruled(rule: str, body: bytes, status: int = 200, charset: str | None = None) -> str | None:
    """What is wrong with a response by this rule."""
    return classify_response(
        EndpointConfig(url="https://crm.example/", success=rule), status, body, None, charset
    ).error


@pytest.mark.parametrize(
    ("rule", "body", "error"),
    [
        ("2xx", b"", None),
        ("contract", OK, None),
        ("contract", b'{"result":3,"errmsg":"no"}', "answered result 3: no"),
        ("text:OK", b"<p>OK</p>", None),
        ("text:success", b"SUCCESS", "answered 200, expected the text success, got SUCCESS"),
        ("text:OK", b"", "answered 200, expected the text OK, got nothing"),
        ("json:code=0", b'{"code":0}', None),
        ("json:code=0", b'{"code":"0"}', None),
        ("json:code=0", BOM + b'{"code": 0}', None),
        ("json:ok=true", b'{"ok":true}', None),
        ("json:data.items.1.state=done=yes", b'{"data":{"items":[{},{"state":"done=yes"}]}}', None),
        ("json:code=0", b'{"code":40001}', "answered 200, expected code = 0, got 40001"),
        ("json:data.code=0", b'{"data":null}', "answered 200, expected data.code = 0, got no such field"),
        ("json:0=1", b"[]", "answered 200, expected 0 = 1, got no such field"),
        ("json:code=0", b"<html>", "answered 200, expected code = 0, got no such field"),
        ("json:code=0", b'{"code":"' + b"x" * 500 + b'"}', f"answered 200, expected code = 0, got {'x' * 100}…"),
    ],
)
def test_an_endpoints_rule_decides(rule: str, body: bytes, error: str | None) -> None:
    """Whatever the format; the words say what was expected and what came, shortened."""
    assert ruled(rule, body) == error


def test_a_text_is_looked_for_in_the_responses_charset() -> None:
    """As its Content-Type says; an unknown charset is UTF-8."""
    assert ruled("text:成功", "成功".encode("gbk"), charset="gbk") is None
    assert ruled("text:成功", "成功".encode(), charset="no-such") is None


@pytest.mark.parametrize("rule", ["2xx", "contract", "text:OK", "json:result=0"])
def test_no_rule_makes_success_of_another_status(rule: str) -> None:
    """A 500 is a failure with any body, a redirect is not followed, 410 disables an endpoint of the standard format."""
    assert (ruled(rule, OK, 500) or "").startswith("answered 500 Internal Server Error")
    assert "redirects are not followed" in (ruled(rule, OK, 302) or "")
    assert classify_response(EndpointConfig(url="https://crm.example/", success=rule), 410, OK).gone


@given(
    STATUSES,
    ANSWERS,
    st.sampled_from(["json:result=0", "json:x.0=1", "text:x"]),
    st.sampled_from([None, "utf-16", "?"]),
)
def test_every_response_has_a_bounded_meaning_by_a_rule(
    status: int, body: bytes, rule: str, charset: str | None
) -> None:
    """Any bytes are success or are described, and nothing is raised."""
    error = ruled(rule, body, status, charset)
    assert error is None or 0 < len(error) < 300


@pytest.mark.parametrize(
    "rule",
    ["", "3xx", "contract:", "json:", "json:code", "json:=1", "json:a..b=1", "text:", "text:a\nb", "text:" + "x" * 600],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    """The error lists the four rules."""
    with pytest.raises(ValueError, match=r"^expected contract, 2xx, json:path=value or text:words"):
        parse_success_rule(rule)
