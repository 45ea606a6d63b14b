"""Phone numbers are people: how they are normalised, and how they are found in text and hidden, however they are spelled."""

import re
import unicodedata
from functools import cache
from typing import NamedTuple

_FULL_LENGTH = 11
_SHOWN_FIRST, _SHOWN_LAST = 3, 4
_SHOWN_OF_SHORT = 2
MIN_DIGITS = 7
_NUMBER = re.compile(r"\+?[0-9]+")
_TYPED = re.compile(r"\+?[0-9]{3,20}")
_SPACING = re.compile(r"[\s()./-]+")

# A digit that is none of a script's: escaped for a URL, for JSON or for HTML; Chinese; in a circle or raised.
_ODD_DIGIT = (
    r"%(?:25){0,2}3\d|%EF%BC%9\d|\\{1,4}(?:u003|uff1|x3)\d|&\#(?:4[89]|5[0-7]|x3\d);"
    r"|[〇零一二三四五六七八九幺²³¹⁰⁴-⁹₀-₉①-⑨⑴-⑼⒈-⒐⓪⓵-⓽⓿❶-❾➀-➈➊-➒]"
)
DIGIT = rf"(?:\d|{_ODD_DIGIT})"
"""A digit of any script, or escaped."""
# What stands between the digits of one number: space, dashes, dots, slashes, brackets, what nobody sees, the NUL of UTF-16,
# and what groups thousands, right between digits: a comma before a blank parts one thing from another.
_MARK = (
    r"(?:[\s\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufffd"
    r"\-‐-―−﹘﹣－.．。·•‧・/／()（）\[\]_＿+＋]|%(?:00|0[9AD]|2[089BDEF]|5F)|\\{1,4}(?:u0000|[nrt])|(?:[,，、'’]|%2[7C])(?=\d))"
)
ANY_MARKS, _SOME = rf"{_MARK}{{0,3}}+", rf"{_MARK}{{1,3}}+"
"""What may stand between two digits of one number."""

_ID = (
    r"(?<![0-9A-Za-z])(?=[0-9-]{0,35}+[a-f])(?:[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|[0-9a-f]{32})(?![0-9A-Za-z])"
)
_DAY = r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_CLOCK = r"[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:[0-9]{2})?"
_TIME = rf"(?<!\d){_DAY}(?:{_CLOCK})?(?!\d)"
_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"(?<![\d.])(?=10\.|[0-9.]*?[0-9]{{3}})(?:{_BYTE}\.){{3}}{_BYTE}(?!\.?\d)"  # four pairs may be a number

_IN_TEXT = re.compile(rf"(?P<kept>{_ID}|{_TIME}|{_ADDRESS})|[+＋]?{DIGIT}(?:{ANY_MARKS}{DIGIT}){{6,}}+", re.IGNORECASE)


def _digit_groups(*sizes: int) -> str:
    return _SOME.join(rf"\d{{{size}}}" for size in sizes)


_MOBILE = (
    rf"(?<!\d)(?:(?:00)?86{ANY_MARKS})?(?=1{ANY_MARKS}[3-9])(?:\d{{3}}{ANY_MARKS}\d{{4}}{ANY_MARKS}\d{{4}}"
    rf"|{_digit_groups(4, 4, 3)}|{_digit_groups(4, 3, 4)}|{_digit_groups(3, 3, 5)}|{_digit_groups(3, 3, 3, 2)}|{_digit_groups(3, 2, 2, 2, 2)}"
    rf"|{_digit_groups(2, 3, 3, 3)}|{_digit_groups(1, 2, 2, 2, 2, 2)}|{_digit_groups(2, 2, 2, 2, 2, 1)}|{_digit_groups(*[1] * 11)})(?!\d)"
)
_LOCAL = rf"(?=[2-8])(?:\d{{3,4}}{ANY_MARKS}\d{{4}}|{_digit_groups(2, 2, 2, 2)}|{_digit_groups(*[1] * 8)})(?!\d)"
_WITH_AREA = rf"(?<!\d)(?:(?:00)?86{ANY_MARKS}0?|0)(?:10|2\d|[3-9]\d\d){ANY_MARKS}{_LOCAL}"
_SERVICE = rf"(?<!\d)[48]00{ANY_MARKS}(?:\d{{3}}{ANY_MARKS}\d{{4}}|\d{{4}}{ANY_MARKS}\d{{3}})(?!\d)"
_COMPACT_DAY = r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
_ABROAD = rf"[+＋]\d(?:{ANY_MARKS}\d){{6,14}}(?!\d)"
_IN_ID = (
    rf"(?P<kept>{_ID}|{_TIME})|(?<!\d)1\.[3-9]\d{{9}}e\+?10(?!\d)|{_ABROAD}|{_MOBILE}|{_WITH_AREA}|{_SERVICE}"
    rf"|(?<![\w-])(?!{_COMPACT_DAY}){_LOCAL}(?![\w-])|(?:{_ODD_DIGIT})(?:{ANY_MARKS}(?:{_ODD_DIGIT})){{6,}}+"
)
_PIECE = re.compile(rf"^[+＋]|(?P<mark>{_MARK})|{DIGIT}|.", re.IGNORECASE | re.DOTALL)


def e164(nationcode: str, mobile: str) -> str | None:
    """`("86", "13788888888")` -> `+8613788888888`; None where the two form no possible number."""
    import phonenumbers  # large tables: only who asks for a number pays for them

    if not _NUMBER.fullmatch(mobile):
        return None  # the library reads letters as keys of a telephone: it would make up a number
    country = nationcode.removeprefix("+").removeprefix("00")
    if mobile.startswith("+"):
        text = mobile
    elif country.isascii() and country.isdigit():
        text = f"+{country}{mobile}"
    else:
        return None
    try:
        number = phonenumbers.parse(text, None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


class Spellings(NamedTuple):
    """How a number may have been received: as `anywhere`, or as `national` with one of the `codes` as its nationcode."""

    anywhere: tuple[str, ...]
    national: tuple[str, ...] = ()
    codes: tuple[str, ...] = ()


def spellings(number: str) -> Spellings:
    """Every form of a number that somebody typed, in whatever form: `+86 137 8888 8888`, `0086…`, `13788888888`.

    Without a country it is one of China where it can be, as the vendor's are. What is no number is only itself.
    """
    bare, parsed = _bare(number), parse_number(number)
    if parsed is None:
        return Spellings(tuple(dict.fromkeys((number, bare) if _TYPED.fullmatch(bare) else (number,))))
    code, national = parsed
    anywhere = tuple(dict.fromkeys((number, bare, f"+{code}{national}", f"{code}{national}", f"00{code}{national}")))
    return Spellings(
        anywhere,
        tuple(form for form in (national, f"0{national}") if form not in anywhere),
        ("", code, f"+{code}", f"00{code}"),
    )


def parse_number(number: str) -> tuple[str, str] | None:
    """The country code and the rest of a number that somebody typed; None where no country has such a number."""
    bare = _bare(number)
    return _parse(bare) if _TYPED.fullmatch(bare) else None


def _bare(number: str) -> str:
    return _SPACING.sub("", unicodedata.normalize("NFKC", number))


def _parse(bare: str) -> tuple[str, str] | None:
    import phonenumbers  # as in e164

    is_whole = bare.startswith(("+", "00"))
    international = f"+{bare.removeprefix('+' if bare.startswith('+') else '00')}"
    is_number = phonenumbers.is_possible_number if is_whole else phonenumbers.is_valid_number  # else it is a guess
    for text, country in [(international, None)] if is_whole else [(bare, "CN"), (f"+{bare}", None)]:
        try:
            number = phonenumbers.parse(text, country)
        except phonenumbers.NumberParseException:
            continue
        if is_number(number):
            return str(number.country_code), phonenumbers.national_significant_number(number)
    return None


def mask_number(number: str) -> str:
    """`13788888888` -> `137****8888`; a short one keeps only its last two digits. What parts its digits stays."""
    pieces, places = list(number), list(range(len(number)))
    if not number.isalnum():
        found = list(_PIECE.finditer(number))
        pieces, places = [one[0] for one in found], [place for place, one in enumerate(found) if one["mark"] is None]
    first, last = (_SHOWN_FIRST, _SHOWN_LAST) if len(places) >= _FULL_LENGTH else (0, _SHOWN_OF_SHORT)
    for place in places[first:-last] if len(places) > last else places:
        pieces[place] = "*"
    return "".join(pieces)


def mask_text(text: str) -> str:
    """Hide in prose whatever has digits enough to be somebody's number, but for UUIDs, days, times and IP addresses."""
    return text if _has_few_digits(text) else _IN_TEXT.sub(_mask_match, text)


def mask_phone_like(text: str) -> str:
    """Hide in the name of something what is spelled as a phone number is; other digits stay: they are what it is known by.

    That is: a Chinese mobile or landline, with its area or without, 400 and 800, and what begins with +.
    """
    if _has_few_digits(text):
        return text
    plain = text if text.isascii() else "".join(map(_ascii_digit, text))
    masked, end = [], 0
    for found in _phone_like_pattern().finditer(plain):
        if found["kept"] is None:
            masked += [text[end : found.start()], mask_number(text[found.start() : found.end()])]
            end = found.end()
    return "".join([*masked, text[end:]])


@cache
def _phone_like_pattern() -> re.Pattern[str]:
    return re.compile(_IN_ID, re.IGNORECASE)  # takes as long as a twentieth of a start


def is_number_like(text: str) -> bool:
    """Whether the name of something is, or holds, what is spelled as a phone number is."""
    return mask_phone_like(text) != text


def _has_few_digits(text: str) -> bool:
    """Whether a quick check rules out that `text` contains a phone number."""
    return len(text) < MIN_DIGITS or (text.isascii() and sum(map(text.count, "0123456789")) < MIN_DIGITS)


def _mask_match(found: re.Match[str]) -> str:
    return found[0] if found["kept"] is not None else mask_number(found[0])


def _ascii_digit(character: str) -> str:
    """A digit of any script as it is in ASCII; everything else as it is."""
    return str(unicodedata.decimal(character, character))
