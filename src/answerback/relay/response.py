"""Whether an endpoint has a delivery, by its answer; pure."""

from http import HTTPStatus
from typing import NamedTuple

from answerback.domain.masking import mask_urls
from answerback.domain.models import Format
from answerback.errors import AnswerUnreadable
from answerback.tencent.response import read_answer

_SUCCESS = range(200, 300)
_REDIRECT = range(300, 400)
_LONGEST_WORDS = 300


class Judgement(NamedTuple):
    """`error` in plain words, or None where the delivery is accepted; `gone`: the endpoint wants no more of them."""

    error: str | None
    gone: bool = False


def judge(
    form: Format, status: int, answer: bytes, location: str | None = None, charset: str | None = None
) -> Judgement:
    """Judge an answer in full by the format of its endpoint; `charset` is what its Content-Type says."""
    if status in _REDIRECT:
        to = f" to {_host_of(location)}" if location else ""
        return Judgement(
            f"answered {_named(status)}{to}: redirects are not followed, give the endpoint the URL it leads to"
        )
    if form is Format.STANDARD:
        if status in _SUCCESS:
            return Judgement(None)
        return Judgement(f"answered {_named(status)}", gone=status == HTTPStatus.GONE)
    return Judgement(_by_contract(status, answer, charset))


def _host_of(location: str) -> str:
    """Where a redirect leads, without path and query, where secrets live."""
    host = mask_urls(location[:_LONGEST_WORDS])
    return host if "://" in host else "another path"


def _by_contract(status: int, answer: bytes, charset: str | None) -> str | None:
    try:
        told = read_answer(answer, charset)
    except AnswerUnreadable as error:
        return f"answered {_named(status)}" if status not in _SUCCESS else f"answered {status}, but {error}"
    said = f"result {told.result}" + (f": {told.errmsg[:_LONGEST_WORDS]}" if told.errmsg else "")
    if status not in _SUCCESS:
        return f"answered {_named(status)} with {said}"
    return None if told.result == 0 else f"answered {said}"


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
