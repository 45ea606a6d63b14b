"""Where a number is at home: the table of China's prefixes (`nox -s places` compares it), and the library for the rest."""

import pytest

from answerback.domain.phone_locations import CARRIERS, PLACES, PROVINCES, Place, carrier_words, place_of, region_words


def test_every_place_is_in_the_table() -> None:
    """Each carrier and each province has numbers: no name of the library's is missed."""
    found = {place_of("86", f"{prefix}0000") for prefix in range(1_300_000, 2_000_000, 7)}
    assert {place.carrier for place in found} == {*CARRIERS, ""}
    assert {place.region for place in found} == {*PROVINCES, "CN"}
    assert found <= set(PLACES)


@pytest.mark.parametrize(
    ("nationcode", "mobile", "place"),
    [
        ("86", "13800138000", Place("China Mobile", "CN-BJ")),
        ("+86", "13800138000", Place("China Mobile", "CN-BJ")),
        ("0086", "13800138000", Place("China Mobile", "CN-BJ")),
        ("86", "+8613800138000", Place("China Mobile", "CN-BJ")),
        ("86", "13xxxxxxxxx", Place("", "CN")),
        ("86", "１３８００１３８０００", Place("", "CN")),
        ("86", "02012345678", Place("", "CN")),
        ("86", "99999999999", Place("", "CN")),
        ("1", "2125550123", Place("", "US")),
        ("1", "4165550123", Place("", "CA")),
        ("44", "7911123456", Place("", "GG")),
        ("852", "91234567", Place("", "HK")),
        ("886", "912345678", Place("", "TW")),
        ("999", "12345678", Place("", "")),
        ("", "", Place("", "")),
        ("x", "y", Place("", "")),
        ("1" * 300, "1" * 300, Place("", "")),
    ],
)
def test_a_number_has_a_place(nationcode: str, mobile: str, place: Place) -> None:
    """By whatever form of nationcode and number, or none."""
    assert place_of(nationcode, mobile) == place


def test_places_have_names_in_both_languages() -> None:
    """Provinces and countries, carriers; what is unknown has none, and what is new keeps its code."""
    assert (region_words("CN-GD", "en"), region_words("CN-GD", "zh")) == ("Guangdong", "广东")
    assert (region_words("CN", "en"), region_words("CN", "zh")) == ("China", "中国")
    assert (region_words("US", "en"), region_words("US", "zh")) == ("United States", "美国")
    assert (region_words("", "zh"), region_words("XX", "en")) == ("", "XX")
    assert (carrier_words("China Mobile", "zh"), carrier_words("China Mobile", "en")) == ("中国移动", "China Mobile")
    assert (carrier_words("HKT", "zh"), carrier_words("", "zh")) == ("HKT", "")
