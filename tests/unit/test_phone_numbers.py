import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.phone_numbers import e164, is_number_like, mask_number, mask_phone_like, mask_text


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
        ("138 0013 8000", "138 **** 8000"),
        ("0755-8376 3333", "075*-**** 3333"),
        ("83-76-33-33", "**-**-**-33"),
        ("(0755)83763333", "(075*)****3333"),
    ],
)
def test_a_masked_number(number: str, masked: str) -> None:
    """A full number keeps three digits and four, a short one its last two; what parts its digits stays."""
    assert mask_number(number) == masked


@given(st.text(st.sampled_from("0123456789+- ()."), max_size=40))
def test_a_mask_keeps_the_length_and_hides_enough(number: str) -> None:
    """Of a number of any length at most seven digits are shown, and never a number that could be dialled."""
    masked = mask_number(number)
    shown = [(was, now) for was, now in zip(number, masked, strict=True) if now != "*"]
    digits = sum(map(str.isdigit, number))
    assert sum(now.isdigit() for _, now in shown) <= 7
    assert all(was == now for was, now in shown)
    assert masked.count("*") >= min(digits, 4) - 2


@given(st.text(max_size=20), st.from_regex(r"[0-9]{7,20}", fullmatch=True), st.text(max_size=20))
def test_prose_keeps_no_number(before: str, number: str, after: str) -> None:
    """A run of seven digits or more is masked wherever it stands."""
    masked = mask_text(before + number + after)
    assert len(masked) == len(before + number + after)
    assert re.search(r"\d{7,}", masked) is None
    assert number not in masked


@pytest.mark.parametrize("text", ["", "3004", "in 123456 ms", "2026-05-01 12:00", "voiceprompt_callback.fee: required"])
def test_prose_without_numbers_stays(text: str) -> None:
    """Short runs of digits are nobody's number."""
    assert mask_text(text) == text


def test_a_number_in_prose_is_masked_in_place() -> None:
    """The words around a number stay."""
    assert mask_text('{"mobile":"13788888888"}') == '{"mobile":"137****8888"}'


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
        ("137 8888-8888", "137 ****-8888"),
        ("1-3-7-8-8-8-8-8-8-8-8", "1-3-7-*-*-*-*-8-8-8-8"),
        ("１３７８８８８８８８８", "１３７****８８８８"),
        ("0755-83763333/2", "075*-****3333/2"),
        ("83763333", "******33"),
        ("83.76.33.33", "**.**.**.33"),
        ("13,788,888,888", "13,7**,**8,888"),
        ("400-123-4567", "***-***-**67"),
        ("20260131", "20260131"),
        ("20261128-153045-12345", "20261128-153045-12345"),
        ("2026-11-18-1530-1234567", "2026-11-18-1530-1234567"),
        ("d9428888122b11e1b85c61cd3cbb3210", "d9428888122b11e1b85c61cd3cbb3210"),
        ("%31%33%37%38%38%38%38%38%38%38%38", "%31%33%37****%38%38%38%38"),
    ],
)
def test_a_masked_name(reference: str, masked: str) -> None:
    """Of the name of something only what looks like a phone number is hidden."""
    assert mask_phone_like(reference) == masked
    assert is_number_like(reference) == (reference != masked)


def spellings(number: str) -> list[str]:
    """A number as people, programs and encodings write it."""
    groups = [number[:3], number[3:7], number[7:]]
    marks = [
        " ",
        "-",
        ".",
        "/",
        ") ",
        " - ",
        "\x00",
        "\u00a0",
        "\u3000",
        "‐",
        "－",
        "·",
        "\u200b",
        "_",
        "%20",
        "%2D",
        ",",
        "，",
        "%2c",
    ]
    whole = [
        number,
        f"+86{number}",
        f"0086-{number}",
        f"{number}.0",
        f"{int(number):,}",
        f"{int(number):,}".replace(",", "’"),
        f"{number[0]}.{number[1:]}e10",
        "\x00".join(number),
        "\x00\x00\x00".join(number),
        " ".join(number),
        number.translate({ord(str(digit)): chr(0xFF10 + digit) for digit in range(10)}),
        number.translate({ord(str(digit)): chr(0x0660 + digit) for digit in range(10)}),
        number.translate({ord(str(digit)): chr(0x1D7CE + digit) for digit in range(10)}),
        number.translate({ord(str(digit)): "〇一二三四五六七八九"[digit] for digit in range(10)}),
        "".join(f"%{ord(digit):02x}" for digit in number),
        "".join(f"\\u{ord(digit):04x}" for digit in number),
        "".join(f"&#{ord(digit)};" for digit in number),
    ]
    return [*whole, *(mark.join(groups) for mark in marks), f"({number[:3]}){number[3:]}"]


@pytest.mark.parametrize("spelled", [*spellings("13788888888"), *spellings("075583763333"), *spellings("83763333")])
def test_prose_keeps_no_number_however_it_is_spelled(spelled: str) -> None:
    """Grouped, in other scripts, escaped, with NULs between its digits, as a float: four digits of it are hidden."""
    masked = mask_text(f"to {spelled}, please")
    assert spelled not in masked
    assert masked.count("*") >= 4


@pytest.mark.parametrize(
    "text",
    [
        "at 2026-05-01 12:00:33.123456Z, 2026-05-01T12:00+08:00 and 2026-05-01",
        "no connection: ('192.168.100.200', 443), 10.20.30.40",
        "call d9428888-122b-11e1-b85c-61cd3cbb3210 of d9428888122b11e1b85c61cd3cbb3210",
        "503 after 1234 ms",
    ],
)
def test_days_addresses_and_ids_stay_in_prose(text: str) -> None:
    """They have digits enough for a number, and are what a reader is after."""
    assert mask_text(text) == text


@pytest.mark.parametrize("piece", ["1", "1 ", "12 x", "\\", "%2", "1---", "a", "0-", "(1", "1.", "+1 ", "１ ", "%25"])
def test_hostile_text_takes_no_time(piece: str) -> None:
    """A body may be made to be slow to look through: the time grows no faster than the text."""
    for hide in (mask_text, mask_phone_like):
        hide(piece * 20_000)
