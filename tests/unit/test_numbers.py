import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.numbers import e164, mask, mask_text


@pytest.mark.parametrize(
    ("nationcode", "mobile", "expected"),
    [
        ("86", "13788888888", "+8613788888888"),
        ("+86", "13788888888", "+8613788888888"),
        ("0086", "13788888888", "+8613788888888"),
        ("86", "+8613788888888", "+8613788888888"),
        ("", "+85251234567", "+85251234567"),
        ("852", "51234567", "+85251234567"),
        ("1", "2025550123", "+12025550123"),
        ("86", "137", None),
        ("86", "1" * 40, None),
        ("86", "", None),
        ("", "", None),
        ("", "13788888888", None),
        ("+", "13788888888", None),
        ("999", "13788888888", None),
        ("８６", "13788888888", None),
        ("eighty-six", "13788888888", None),
    ],
)
def test_a_number_in_e164(nationcode: str, mobile: str, expected: str | None) -> None:
    """Country and number make one E.164 number where they can, and None where they cannot."""
    assert e164(nationcode, mobile) == expected


@pytest.mark.parametrize("mobile", ["13xxxxxxxxx", "1378888****", "137-CALL-NOW"])
def test_what_is_no_number_is_not_made_one(mobile: str) -> None:
    """The contract's own placeholder, masked numbers and words are nobody's number: letters are not dialled."""
    assert e164("86", mobile) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_e164_of_any_text_is_a_number_or_none(nationcode: str, mobile: str) -> None:
    """Whatever the two hold, the outcome is + and digits, or None."""
    number = e164(nationcode, mobile)
    assert number is None or re.fullmatch(r"\+[1-9][0-9]{3,18}", number)


@given(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["86", "+86", "0086"]))
def test_e164_of_a_chinese_mobile(mobile: str, nationcode: str) -> None:
    """Every Chinese mobile number has its E.164 form, which has itself as its own."""
    assert e164(nationcode, mobile) == f"+86{mobile}" == e164(nationcode, f"+86{mobile}")


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("13788888888", "137****8888"),
        ("+8613788888888", "+86*******8888"),
        ("4001234567", "********67"),
        ("123", "*23"),
        ("12", "**"),
        ("1", "*"),
        ("", ""),
    ],
)
def test_a_masked_number(number: str, masked: str) -> None:
    """A full number keeps three digits and four, a short one its last two."""
    assert mask(number) == masked


@given(st.text(st.sampled_from("0123456789+"), max_size=40))
def test_a_mask_keeps_the_length_and_hides_enough(number: str) -> None:
    """Of a number of any length at most seven characters are shown, and never a number that could be dialled."""
    masked = mask(number)
    shown = [(was, now) for was, now in zip(number, masked, strict=True) if now != "*"]
    assert len(shown) <= 7
    assert all(was == now for was, now in shown)
    assert masked.count("*") >= min(len(number), 4) - 2


@given(st.text(max_size=20), st.from_regex(r"[0-9]{7,20}", fullmatch=True), st.text(max_size=20))
def test_prose_keeps_no_number(before: str, number: str, after: str) -> None:
    """A run of seven digits or more is masked wherever it stands."""
    masked = mask_text(before + number + after)
    assert len(masked) == len(before + number + after)
    assert re.search(r"\d{7,}", masked) is None


@pytest.mark.parametrize("text", ["", "3004", "in 123456 ms", "2026-05-01 12:00", "voiceprompt_callback.fee: required"])
def test_prose_without_numbers_stays(text: str) -> None:
    """Short runs of digits are nobody's number."""
    assert mask_text(text) == text


def test_a_number_in_prose_is_masked_in_place() -> None:
    """The words around a number stay."""
    assert mask_text('{"mobile":"13788888888"}') == '{"mobile":"137****8888"}'
