"""Write or --check what src/answerback/domain/phone_locations.py knows: the carrier and province of Chinese mobile numbers, and countries' names.

phone_locations.bin has a byte for each seven digits that such a number may begin with, from the data of the package phonenumbers
(Apache-2.0), which has them from Google's libphonenumber. countries.json has the names of Unicode's CLDR, from Babel (BSD).
`nox -s places` runs it with both packages, which the program itself does without: `nox -s places -- --write`.
"""
# ruff: noqa: INP001  # a script, not a package

import json
import sys
import zlib
from pathlib import Path

from babel import Locale
from phonenumbers import SUPPORTED_REGIONS, PhoneNumber
from phonenumbers.carrier import name_for_number
from phonenumbers.geocoder import description_for_valid_number

from answerback.domain.phone_locations import (
    CARRIERS,
    CHINA,
    FIRST_PREFIX,
    LAST_PREFIX,
    LOCATIONS,
    PROVINCES,
    UNKNOWN,
    PhoneLocation,
)

PACKAGE = Path(__file__).parent.parent / "src/answerback"
_CODES = {english: code for code, (english, _) in PROVINCES.items()}


def main() -> None:
    """Write both files, or say which of them is out of date."""
    made = {
        PACKAGE / "domain" / "phone_locations.bin": zlib.compress(_table(), 9),
        PACKAGE / "domain" / "countries.json": _countries(),
    }
    for path, content in made.items():
        if "--write" in sys.argv:
            path.write_bytes(content)
        elif path.read_bytes() != content:
            sys.exit(f"{path.name} is not what the libraries say: nox -s places -- --write")
        sys.stdout.write(f"{path.name}: {len(content)} bytes\n")


def _table() -> bytes:
    numbers = {place: number for number, place in enumerate(LOCATIONS)}
    return bytes(numbers[_place(prefix)] for prefix in range(FIRST_PREFIX, LAST_PREFIX + 1))


def _place(prefix: int) -> PhoneLocation:
    number = PhoneNumber(country_code=86, national_number=prefix * 10_000)
    carrier = name_for_number(number, "en")
    province = description_for_valid_number(number, "en").rpartition(", ")[2]
    return PhoneLocation(carrier if carrier in CARRIERS else UNKNOWN, _CODES.get(province, CHINA))


def _countries() -> bytes:
    english, chinese = Locale("en").territories, Locale("zh").territories
    names = ",\n".join(
        f'"{region}": {json.dumps([english[region], chinese[region]], ensure_ascii=False)}'
        for region in sorted(SUPPORTED_REGIONS)
    )
    return f"{{\n{names}\n}}\n".encode()


if __name__ == "__main__":
    main()
