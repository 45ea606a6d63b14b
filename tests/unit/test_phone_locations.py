"""Where a number is at home: the table of China's prefixes (`nox -s places` compares it), and the library for the rest."""

import pytest

from answerback.domain.phone_locations import (
    CARRIERS,
    LOCATIONS,
    PROVINCES,
    PhoneLocation,
    carrier_name,
    locate_number,
    region_name,
)


def test_every_place_is_in_the_table() -> None:
    """Each carrier and each province has numbers: no name of the library's is missed."""
    found = {locate_number("86", f"{prefix}0000") for prefix in range(1_300_000, 2_000_000, 7)}
    assert {place.carrier for place in found} == {*CARRIERS, ""}
    assert {place.region for place in found} == {*PROVINCES, "CN"}
    assert found <= set(LOCATIONS)


@pytest.mark.parametrize(
    ("nationcode", "mobile", "place"),
    [
        ("86", "13800138000", PhoneLocation("China Mobile", "CN-BJ")),
        ("+86", "13800138000", PhoneLocation("China Mobile", "CN-BJ")),
        ("0086", "13800138000", PhoneLocation("China Mobile", "CN-BJ")),
        ("86", "+8613800138000", PhoneLocation("China Mobile", "CN-BJ")),
        ("86", "13xxxxxxxxx", PhoneLocation("", "CN")),
        ("86", "１３８００１３８０００", PhoneLocation("", "CN")),
        ("86", "02012345678", PhoneLocation("", "CN")),
        ("86", "99999999999", PhoneLocation("", "CN")),
        ("1", "2125550123", PhoneLocation("", "US")),
        ("1", "4165550123", PhoneLocation("", "CA")),
        ("44", "7911123456", PhoneLocation("", "GG")),
        ("852", "91234567", PhoneLocation("", "HK")),
        ("886", "912345678", PhoneLocation("", "TW")),
        ("999", "12345678", PhoneLocation("", "")),
        ("", "", PhoneLocation("", "")),
        ("x", "y", PhoneLocation("", "")),
        ("1" * 300, "1" * 300, PhoneLocation("", "")),
    ],
)
def test_a_number_has_a_place(nationcode: str, mobile: str, place: PhoneLocation) -> None:
    """By whatever form of nationcode and number, or none."""
    assert locate_number(nationcode, mobile) == place


def test_places_have_names_in_both_languages() -> None:
    """Provinces and countries, carriers; what is unknown has none, and what is new keeps its code."""
    assert (region_name("CN-GD", "en"), region_name("CN-GD", "zh")) == ("Guangdong", "广东")
    assert (region_name("CN", "en"), region_name("CN", "zh")) == ("China", "中国")
    assert (region_name("US", "en"), region_name("US", "zh")) == ("United States", "美国")
    assert (region_name("", "zh"), region_name("XX", "en")) == ("", "XX")
    assert (carrier_name("China Mobile", "zh"), carrier_name("China Mobile", "en")) == ("中国移动", "China Mobile")
    assert (carrier_name("HKT", "zh"), carrier_name("", "zh")) == ("HKT", "")
