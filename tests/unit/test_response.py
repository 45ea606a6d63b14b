import json

import pytest
from builders import WIRE_TEXT
from hypothesis import given
from hypothesis import strategies as st

from answerback.errors import CallbackRejected, InvalidCallbackField, InvalidJson, InvalidResponse, UnknownCallback
from answerback.tencent.response import OK_RESPONSE, RESPONSE_CODES, CallbackResponse, decode_response, encode_response

INT64 = st.integers(-(2**63), 2**63 - 1)


def test_ok_is_the_contract_s_answer_to_the_byte() -> None:
    """Success is answered exactly as the contract writes it, compact."""
    assert encode_response(0, "OK") == b'{"result":0,"errmsg":"OK"}'
    assert OK_RESPONSE == encode_response(0, "OK")  # noqa: SIM300  # the constant is what is tested


@given(INT64, WIRE_TEXT)
def test_an_answer_is_read_back_as_it_was_written(result: int, errmsg: str) -> None:
    """Reading is the inverse of writing."""
    written = encode_response(result, errmsg)
    assert decode_response(written) == CallbackResponse(result, errmsg)
    assert json.loads(written) == {"result": result, "errmsg": errmsg}


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        (b'{"result": 0, "errmsg": "OK"}', CallbackResponse(0, "OK")),
        (b'{"errmsg": "OK", "result": 0}', CallbackResponse(0, "OK")),
        (b'{"result": "0", "errmsg": "OK"}', CallbackResponse(0, "OK")),
        (b'{"result": "-7", "errmsg": "no"}', CallbackResponse(-7, "no")),
        (b'{"result": 0}', CallbackResponse(0, "")),
        (b'{"result": 1, "errmsg": 7}', CallbackResponse(1, "7")),
        (b'\xef\xbb\xbf{"result": 0, "errmsg": "OK"}\r\n', CallbackResponse(0, "OK")),
        (b'{"result": 0, "errmsg": "OK", "ext": "", "more": [1]}', CallbackResponse(0, "OK")),
        ('{"result": 0, "errmsg": "成功"}'.encode("gbk"), CallbackResponse(0, "成功")),
        (
            '{"errmsg": "誠信 號碼", "result": 7}'.encode("gb18030"),
            CallbackResponse(7, "誠信 號碼"),
        ),  # 誠 ends in a backslash
        ('{"errmsg": {"more": ["失败"]}, "result": 0}'.encode("gbk"), CallbackResponse(0, "{'more': ['失败']}")),
        ('{"result": 0, "errmsg": "OK"}'.encode("utf-16"), CallbackResponse(0, "OK")),
        (b'{"result": 0, "errmsg": "\xff"}', CallbackResponse(0, "\ufffd")),
        (b'\xef\xbb\xbf {"result": 0, "errmsg": "\xe6"}\r\n', CallbackResponse(0, "\ufffd")),
        (b'{"result": 0, "errmsg": "two\nlines\x00"}', CallbackResponse(0, "two\nlines\x00")),
        (b'{"result": 0, "errmsg": "\\ud800"}', CallbackResponse(0, "?")),
    ],
)
def test_answers_of_the_field_are_read_as_meant(body: bytes, answer: CallbackResponse) -> None:
    """A numeric string, another order, a BOM, fields too many and a missing errmsg are all understood."""
    assert decode_response(body) == answer


@pytest.mark.parametrize("charset", ["big5", "shift_jis", "utf-16-le", "latin-1"])
def test_an_errmsg_is_read_in_the_charset_that_is_said(charset: str) -> None:
    """Where the Content-Type of the answer says one, and it is right."""
    errmsg = "café" if charset == "latin-1" else "表功"
    assert decode_response(f'{{"result":0,"errmsg":"{errmsg}"}}'.encode(charset), charset) == CallbackResponse(
        0, errmsg
    )


@pytest.mark.parametrize("charset", ["no-such", "utf-16", "ascii", "base64", "undefined", "idna"])
def test_a_charset_that_is_wrong_is_no_obstacle(charset: str) -> None:
    """What the Content-Type says may be anything."""
    assert decode_response('{"result":0,"errmsg":"成功"}'.encode("gbk"), charset) == CallbackResponse(0, "成功")


@pytest.mark.parametrize("body", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_an_empty_answer_is_called_empty(body: bytes) -> None:
    """So that nobody looks for a fault in JSON that is not there."""
    with pytest.raises(InvalidResponse, match=r"^the response is empty$"):
        decode_response(body)


@pytest.mark.parametrize(
    "body",
    [
        b"OK",
        b"null",
        b"[]",
        b"0",
        b"{}",
        b'{"errmsg": "OK"}',
        b'{"result": null}',
        b'{"result": true}',
        b'{"result": 0.5}',
        b'{"result": ""}',
        b'{"result": "OK"}',
        b'{"result": [0]}',
        b'{"result": 0',
        b'{"result": \xff}',
        b'{"result": 0, "errmsg": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"result": "' + b"9" * 5000 + b'"}',
        b"<html>502 Bad Gateway</html>",
    ],
)
def test_what_is_no_answer_is_unreadable(body: bytes) -> None:
    """An answer without a whole-number result is none."""
    with pytest.raises(InvalidResponse, match=r"^not the contract's answer: "):
        decode_response(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_unreadable(body: bytes) -> None:
    """Whatever a receiver answers, the outcome is an Answer or InvalidResponse."""
    try:
        answer = decode_response(body)
    except InvalidResponse:
        return
    assert isinstance(answer.result, int)
    assert isinstance(answer.errmsg, str)


def test_an_unreadable_answer_is_not_repeated() -> None:
    """What a receiver put where the result belongs may be somebody's number: it stays out of the error."""
    with pytest.raises(InvalidResponse) as caught:
        decode_response(b'{"result": "13788888888 stored"}')
    assert "13788888888" not in str(caught.value)


def test_what_a_refused_sender_is_answered() -> None:
    """Each way to be refused has its number of the vendor's."""
    assert dict(RESPONSE_CODES) == {InvalidJson: 3003, InvalidCallbackField: 3004, UnknownCallback: 1011}
    assert set(RESPONSE_CODES) == set(CallbackRejected.__subclasses__())
