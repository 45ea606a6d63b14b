"""One person's number is found however it is spelled, and nobody else's that merely contains it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.number_finder import NumberFinder

NUMBER = "13788888888"
FINDER = NumberFinder("+8613788888888")

PREFIXES = st.sampled_from(
    ["", "86", "+86", "0086", "+86 ", "0086-", "(86) ", "+86(0)", "0", "＋86", "%2B86", "0 ", "８６", "+ 86 "]
)
MARKS = st.sampled_from(["", " ", "-", ".", "  ", " - ", "\u00a0", "‑", "/", "%20", "\x00"])
CONTEXTS = st.sampled_from(["", "a", "call ", "电话", ":", "\n", "id=", '"', ",", "x-", "。", "\\n", "é", "\\u8bd3"])
OTHERS = st.text("0123456789", min_size=1, max_size=6)


def spelled(digit: str, form: int) -> str:
    """A digit in one of the forms in which one may have come in."""
    number = int(digit)
    forms = (
        digit,
        chr(0xFF10 + number),
        chr(0x0660 + number),
        f"%3{digit}",
        f"\\u003{digit}",
        f"&#{48 + number};",
        "〇一二三四五六七八九"[number],
    )
    return forms[form]


@st.composite
def spellings(draw: st.DrawFn) -> str:
    """The number, somehow."""
    form = draw(st.integers(0, 6))
    national = ""
    for place, digit in enumerate(NUMBER):
        national += spelled(digit, form) + (draw(MARKS) if place < len(NUMBER) - 1 else "")
    return draw(PREFIXES) + national


@given(CONTEXTS, spellings(), CONTEXTS)
def test_every_spelling_is_found(before: str, spelling: str, after: str) -> None:
    """Between whatever is no digit, and then it is gone; what is left takes as many bytes."""
    text = before + spelling + after
    assert FINDER.is_in(text)
    blanked = FINDER.blank_text(text)
    assert not FINDER.is_in(blanked)
    assert len(blanked.encode()) == len(text.encode())
    assert (blanked.startswith(before), blanked.endswith(after)) == (True, True)


@given(OTHERS, OTHERS, CONTEXTS)
def test_a_longer_number_is_somebody_else_s(more: str, less: str, around: str) -> None:
    """Digits that go on before it or after it, but for zeros and the own country's code before it."""
    for text in (f"{around}{NUMBER}{more}{around}", f"{around}9{less}{NUMBER}"):
        assert FINDER.blank_text(text) == text


@given(st.from_regex(r"\A1[3-9][0-9]{9}\Z").filter(lambda other: other != NUMBER), spellings())
def test_other_numbers_beside_it_stay(other: str, spelling: str) -> None:
    """Before it and after it, with anything that parts two numbers in between."""
    text = f"{other}, {spelling}; {other}"
    blanked = FINDER.blank_text(text)
    assert blanked.startswith(f"{other}, ")
    assert blanked.endswith(f"; {other}")
    assert not FINDER.is_in(blanked)


@pytest.mark.parametrize(
    "text",
    [
        "+4413788888888",
        "+44 13788888888",
        "0044 13788888888",
        "213788888888",
        "137888888880",
        "1378888888",
        "13788888887",
        "\\u137888888881",
        "d9428888-122b-11e1-b85c-137888888881",
    ],
)
def test_what_is_not_the_number_stays(text: str) -> None:
    """Of another country, longer, shorter, other digits, or within an escape."""
    assert FINDER.blank_text(text) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just(NUMBER) | st.just(int(NUMBER)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


def without(document: Any) -> Any:
    """The document as it should be."""
    if isinstance(document, dict):
        return {FINDER.blank_text(key): without(value) for key, value in document.items()}
    if isinstance(document, list):
        return list(map(without, document))
    if isinstance(document, str):
        return FINDER.blank_text(document)
    return "*" * (len(str(document)) - 2) if document in (int(NUMBER), int(f"86{NUMBER}")) else document


@given(JSON, st.booleans(), st.sampled_from([None, 2]))
def test_json_stays_json(document: Any, is_escaped: bool, indent: int | None) -> None:  # noqa: FBT001  # hypothesis gives it
    """Of the same size, with everything else in it as it was."""
    body = json.dumps(document, ensure_ascii=is_escaped, indent=indent).encode("utf-8", "surrogatepass")
    blanked = FINDER.blank_body(body)
    assert len(blanked) == len(body)
    if is_escaped or not FINDER.is_in(body.decode("utf-8", "surrogateescape")):
        assert json.loads(blanked) == without(document)


@given(st.binary(max_size=200))
def test_any_bytes_keep_their_size(body: bytes) -> None:
    """A body that nobody could understand is blanked as text."""
    blanked = FINDER.blank_body(body + b" 0086 137-8888-8888 " + body)
    assert len(blanked) == 2 * len(body) + 20
    assert b"137-8888-8888" not in blanked


@pytest.mark.parametrize(
    ("nationcode", "mobile", "is_it"),
    [
        ("86", NUMBER, True),
        ("", NUMBER, True),
        ("+86", NUMBER, True),
        ("0086", f"0{NUMBER}", True),
        ("852", f"+86{NUMBER}", True),
        ("1", NUMBER, False),
        ("44", NUMBER, False),
        ("86", "13788888889", False),
    ],
)
def test_a_callee_is_a_country_and_a_number(nationcode: str, mobile: str, is_it: bool) -> None:  # noqa: FBT001  # a table
    """Whose the number is, the country's code beside it says, in a call and in a body."""
    assert FINDER.is_callee(nationcode, mobile) == is_it
    body = json.dumps({"voiceprompt_callback": {"mobile": mobile, "nationcode": nationcode}}).encode()
    assert (FINDER.blank_body(body) != body) == is_it


@pytest.mark.parametrize("number", ["", "95588", "abc", "13xxxxxxxxx", "+999123"])
def test_what_is_no_number_is_refused(number: str) -> None:
    """A short one would be found everywhere."""
    with pytest.raises(ValueError, match="expected a phone number"):
        NumberFinder(number)


@pytest.mark.parametrize(
    "body", [b'{"n": 1.3788888e10}', b"[1.3788888E+10]", b'{"n": 861378888800e1}', b"[13788888000.0]"]
)
def test_zeros_may_be_in_the_exponent(body: bytes) -> None:
    """As a spreadsheet writes a number that ends with zeros."""
    blanked = NumberFinder("13788888000").blank_body(body)
    assert (b"378888" in blanked, len(blanked)) == (False, len(body))


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        (NUMBER, "+8613788888888"),
        ("（＋８６） １３７－８８８８－８８８８", "+8613788888888"),
        ("0755 8376 3333", "+8675583763333"),
        ("4001234567", "+864001234567"),
        ("+39 06 1234 5678", "+390612345678"),
        ("0044 20 7946 0958", "+442079460958"),
    ],
)
def test_a_number_is_known_with_its_country(typed: str, number: str) -> None:
    """However it was typed; and what it is known by is the same number."""
    assert NumberFinder(typed).number == NumberFinder(number).number == number
