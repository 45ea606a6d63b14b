"""Write src/answerback/places.bin: for each seven digits that a Chinese mobile number may begin with, its carrier and province.

Made from the data of the phonenumbers package (Apache-2.0), which has them from Google's libphonenumber. Run it after an
upgrade of that package; tests/unit/test_places.py says when it is due.
"""
# ruff: noqa: INP001  # a script, not a package

import sys
import zlib
from pathlib import Path

from phonenumbers import PhoneNumber
from phonenumbers.carrier import name_for_number
from phonenumbers.geocoder import description_for_valid_number

from answerback.places import CARRIERS, CHINA, FIRST_PREFIX, LAST_PREFIX, PLACES, PROVINCES, UNKNOWN, Place

TARGET = Path(__file__).parent.parent / "src/answerback/places.bin"
_CODES = {english: code for code, (english, _) in PROVINCES.items()}


def place_by_library(prefix: int) -> Place:
    """What the library says of a number that begins with these seven digits."""
    number = PhoneNumber(country_code=86, national_number=prefix * 10_000)
    carrier = name_for_number(number, "en")
    province = description_for_valid_number(number, "en").rpartition(", ")[2]
    return Place(carrier if carrier in CARRIERS else UNKNOWN, _CODES.get(province, CHINA))


def main() -> None:
    """Write the table."""
    numbers = {place: number for number, place in enumerate(PLACES)}
    table = bytes(numbers[place_by_library(prefix)] for prefix in range(FIRST_PREFIX, LAST_PREFIX + 1))
    TARGET.write_bytes(zlib.compress(table, 9))
    sys.stdout.write(f"{TARGET.name}: {TARGET.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
