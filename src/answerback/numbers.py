"""Phone numbers are people: how they are normalised, and how they are hidden."""

import re

_FULL_LENGTH = 11
_SHOWN = 2
_NAMES = ("mobile", "call_from")
_DIGITS = re.compile(r"\d{7,}")
_NUMBER = re.compile(r"\+?[0-9]+")


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


def mask(number: str) -> str:
    """`13788888888` -> `137****8888`; a short one keeps only its last two digits."""
    if len(number) >= _FULL_LENGTH:
        return f"{number[:3]}{'*' * (len(number) - 7)}{number[-4:]}"
    return "*" * (len(number) - _SHOWN) + number[-_SHOWN:] if len(number) > _SHOWN else "*" * len(number)


def mask_numbers_in(document: object, text: str) -> str:
    """Hide in `text`, a JSON text, the numbers that `document`, its value, holds under the contract's names."""
    for number in sorted(_numbers_of(document), key=len, reverse=True):
        text = text.replace(number, mask(number))
    return text


def _numbers_of(document: object) -> set[str]:
    if isinstance(document, list):
        return set().union(*map(_numbers_of, document))
    if not isinstance(document, dict):
        return set()
    own = {str(document[name]) for name in _NAMES if isinstance(document.get(name), str | int)}
    return (own - {""}).union(*map(_numbers_of, document.values()))


def mask_text(text: str) -> str:
    """Hide every run of digits in prose that is long enough to be somebody's number."""
    return _DIGITS.sub(lambda run: mask(run.group()), text)
