"""Phone numbers are people: how they are normalised, and how they are hidden."""

import json
import re
import unicodedata
from typing import Any, NamedTuple

_FULL_LENGTH = 11
_SHOWN = 2
_NAMES = ("mobile", "call_from")
_OTHER_NAMES = ("callid", "accept_time", "start_calltime", "end_calltime")
_MOST_VALUES = 100  # no callback has so many; to look for them all would take long
_TIME_LENGTH = 10  # Unix seconds until the year 2286; what is longer under a time's name may be a number
_GROUPED = r"(?<!\d)1[3-9]\d[ .-]\d{4}[ .-]\d{4}(?!\d)"  # a Chinese mobile as people write it; no date looks so
_DIGITS = re.compile(rf"\d{{7,}}|{_GROUPED}")
_MOBILE = re.compile(rf"(?<!\d)(?:\+?86)?1[3-9]\d{{9}}(?!\d)|\+\d{{7,15}}(?!\d)|{_GROUPED}")
_ESCAPED_DIGIT = re.compile(r"\\u003([0-9])")
_NUMBER = re.compile(r"\+?[0-9]+")
_TYPED = re.compile(r"\+?[0-9]{3,20}")
_SPACING = re.compile(r"[\s()./-]+")


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
    bare = _SPACING.sub("", unicodedata.normalize("NFKC", number))
    parsed = _parsed(bare) if _TYPED.fullmatch(bare) else None
    if parsed is None:
        return Spellings(tuple(dict.fromkeys((number, bare) if _TYPED.fullmatch(bare) else (number,))))
    code, national = parsed
    anywhere = tuple(dict.fromkeys((number, bare, f"+{code}{national}", f"{code}{national}", f"00{code}{national}")))
    return Spellings(
        anywhere,
        tuple(form for form in (national, f"0{national}") if form not in anywhere),
        ("", code, f"+{code}", f"00{code}"),
    )


def _parsed(bare: str) -> tuple[str, str] | None:
    """The country code and the rest; None where no country has such a number."""
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


def mask(number: str) -> str:
    """`13788888888` -> `137****8888`; a short one keeps only its last two digits."""
    if len(number) >= _FULL_LENGTH:
        return f"{number[:3]}{'*' * (len(number) - 7)}{number[-4:]}"
    return "*" * (len(number) - _SHOWN) + number[-_SHOWN:] if len(number) > _SHOWN else "*" * len(number)


def mask_body(body: str) -> str:
    """Hide the numbers in a body that was sent: by the contract's names if it is JSON, and wherever else digits run.

    Of JSON the callid and the times stay as they are: they look like numbers, and are what a reader is after.
    """
    text = _ESCAPED_DIGIT.sub(r"\1", body)
    try:
        document = json.loads(text.removeprefix("\ufeff"))
        hidden, kept = _values_of(document, _NAMES), _values_of(document, _OTHER_NAMES)
    except (ValueError, RecursionError):
        return mask_text(text)
    if len(hidden) + len(kept) > _MOST_VALUES:
        return mask_text(text)
    kept = {value for value in kept - hidden if len(value) <= _TIME_LENGTH or not value.isdigit()}
    known = [re.escape(number) for number in sorted(hidden, key=len, reverse=True)]
    known += [rf"(?<!\d){re.escape(value)}(?!\d)" for value in sorted(kept, key=len, reverse=True)]
    every = re.compile("|".join([*known, _DIGITS.pattern]))
    return every.sub(lambda found: found.group() if found.group() in kept else mask(found.group()), text)


def _values_of(document: object, names: tuple[str, ...]) -> set[str]:
    """What `document` holds under `names`, at any depth."""
    if isinstance(document, list):
        return set().union(*(_values_of(item, names) for item in document))
    if not isinstance(document, dict):
        return set()
    own = {str(document[name]) for name in names if isinstance(document.get(name), str | int)}
    return (own - {""}).union(*(_values_of(value, names) for value in document.values()))


def mask_text(text: str) -> str:
    """Hide every run of digits in prose that is long enough to be somebody's number."""
    return _DIGITS.sub(lambda run: mask(run.group()), text)


def mask_mobiles(text: str) -> str:
    """Hide what looks like a phone number in the name of something, where other digits must stay."""
    return _MOBILE.sub(lambda found: mask(found.group()), text)


def mask_values(document: Any) -> Any:
    """`document`, any JSON value, with long runs of digits hidden in its texts, numbers and names."""
    if isinstance(document, dict):
        return {mask_text(name): mask_values(value) for name, value in document.items()}
    if isinstance(document, list):
        return [mask_values(item) for item in document]
    if isinstance(document, str):
        return mask_text(document)
    masked = mask_text(str(document))
    return document if masked == str(document) else masked
