import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.numbers import e164, mask, mask_body, mask_mobiles, mask_text, mask_values


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


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        (
            '{"k":{"mobile":"13788888888","call_from":"4001234567"}}',
            '{"k":{"mobile":"137****8888","call_from":"********67"}}',
        ),
        ('{"mobile": 13788888888}', '{"mobile": 137****8888}'),
        ('{"mobile":"13xxxxxxxxx"}', '{"mobile":"13x****xxxx"}'),
        ('{"ext":"call 13788888888","list":[1378888888.5]}', '{"ext":"call 137****8888","list":[********88.5]}'),
        ('{"mobile":"13788888888","mobile":"13900001111"}', '{"mobile":"137****8888","mobile":"139****1111"}'),
        (r'{"x":"\u0031\u0033\u0037\u0038\u0038\u0038\u0038\u0038\u0038\u0038\u0038"}', '{"x":"137****8888"}'),
        ('{"x":"137-8888-8888 or 137 8888 8888"}', '{"x":"137******8888 or 137******8888"}'),
        ('{"x":"１３７８８８８８８８８"}', '{"x":"１３７****８８８８"}'),
        ("mobile=13788888888", "mobile=137****8888"),
        ('{"mobile":"13788888888"', '{"mobile":"137****8888"'),
        ('\ufeff{"mobile":"123456"}', '\ufeff{"mobile":"****56"}'),
        ("[" * 5000 + "13788888888", "[" * 5000 + "137****8888"),
        ("", ""),
    ],
    ids=lambda text: text[:40],
)
def test_a_masked_body(body: str, masked: str) -> None:
    """Numbers are hidden under the contract's names, under any other, and in what is no JSON at all."""
    assert mask_body(body) == masked


@pytest.mark.parametrize(
    "body",
    [
        '{"callid":"d9428888-122b-11e1-b85c-61cd3cbb3210"}',
        '{"callid":"d9428888122b11e1b85c61cd3cbb3210","accept_time":"1470197211","start_calltime":1470197196}',
        '{"fee":"1","result":"0","nationcode":"86"}',
    ],
)
def test_a_masked_body_keeps_its_callid_and_times(body: str) -> None:
    """They look like numbers, and are what a reader is after."""
    assert mask_body(body) == body


@pytest.mark.parametrize("name", ["callid", "accept_time"])
def test_a_number_does_not_hide_under_another_name(name: str) -> None:
    """What is the callee's number is hidden wherever it stands; and a time of eleven digits is none."""
    assert "13788888888" not in mask_body(f'{{"{name}":"13788888888","mobile":"13788888888"}}')
    assert "13788888888" not in mask_body('{"accept_time":"13788888888"}')
    assert (
        mask_body('{"accept_time":"1378888888","x":"13788888889"}') == '{"accept_time":"1378888888","x":"137****8889"}'
    )


@given(
    st.text(max_size=40), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["mobile", "phone", "é"])
)
def test_a_body_keeps_no_number(text: str, number: str, name: str) -> None:
    """However it is written as JSON, and whatever is around it."""
    for body in (json.dumps({name: number, "x": text}), json.dumps([{name: int(number)}, text]), f"{text} {number}"):
        assert number not in mask_body(body)


@pytest.mark.parametrize(
    ("reference", "masked"),
    [
        ("order-20260131-1234567", "order-20260131-1234567"),
        ("d9428888-122b-11e1-b85c-61cd3cbb3210", "d9428888-122b-11e1-b85c-61cd3cbb3210"),
        ("13788888888", "137****8888"),
        ("to-13788888888-2", "to-137****8888-2"),
        ("+8613788888888", "+86*******8888"),
        ("+14155550123", "+14*****0123"),
        ("1378888888812", "1378888888812"),
    ],
)
def test_a_masked_name(reference: str, masked: str) -> None:
    """Of the name of something only what looks like a phone number is hidden."""
    assert mask_mobiles(reference) == masked


def test_masked_metadata() -> None:
    """Numbers in texts, as numbers and as names, at any depth; the rest stays as it is."""
    document = {"a": 13788888888, "b": [True, None, 1.5, {"13788888888": "call 13788888888"}], "c": "x"}
    masked = {"a": "137****8888", "b": [True, None, 1.5, {"137****8888": "call 137****8888"}], "c": "x"}
    assert mask_values(document) == masked
    assert mask_values(None) is None
