"""Where a number is at home, and with whom: province or country, and carrier. Pure.

China's mobile numbers are looked up in a table of their first seven digits, made from phonenumbers' data by
tools/make_places.py: the library's own look-up takes 100 MB of memory and 20 us a number, the table 0.7 MB and 0.5 us. Of
other countries' numbers only the country is known. A number that moved to another carrier stays with its first.
"""

import json
import zlib
from functools import cache, lru_cache
from importlib.resources import files
from typing import NamedTuple

from answerback.domain.phone_numbers import e164

FIRST_PREFIX, LAST_PREFIX = 1_300_000, 1_999_999
UNKNOWN = ""
CHINA = "CN"

_MOBILE_LENGTH = 11
_PREFIX_LENGTH = 7
_CHINESE = ("86", "+86", "0086")


class PhoneLocation(NamedTuple):
    """A carrier by its English name, and a region by ISO 3166: a Chinese province or a country; empty: unknown."""

    carrier: str
    region: str


PROVINCES: dict[str, tuple[str, str]] = {
    "CN-AH": ("Anhui", "安徽"),
    "CN-BJ": ("Beijing", "北京"),
    "CN-CQ": ("Chongqing", "重庆"),
    "CN-FJ": ("Fujian", "福建"),
    "CN-GD": ("Guangdong", "广东"),
    "CN-GS": ("Gansu", "甘肃"),
    "CN-GX": ("Guangxi", "广西"),
    "CN-GZ": ("Guizhou", "贵州"),
    "CN-HA": ("Henan", "河南"),
    "CN-HB": ("Hubei", "湖北"),
    "CN-HE": ("Hebei", "河北"),
    "CN-HI": ("Hainan", "海南"),
    "CN-HL": ("Heilongjiang", "黑龙江"),
    "CN-HN": ("Hunan", "湖南"),
    "CN-JL": ("Jilin", "吉林"),
    "CN-JS": ("Jiangsu", "江苏"),
    "CN-JX": ("Jiangxi", "江西"),
    "CN-LN": ("Liaoning", "辽宁"),
    "CN-NM": ("Inner Mongolia", "内蒙古"),
    "CN-NX": ("Ningxia", "宁夏"),
    "CN-QH": ("Qinghai", "青海"),
    "CN-SC": ("Sichuan", "四川"),
    "CN-SD": ("Shandong", "山东"),
    "CN-SH": ("Shanghai", "上海"),
    "CN-SN": ("Shaanxi", "陕西"),
    "CN-SX": ("Shanxi", "山西"),
    "CN-TJ": ("Tianjin", "天津"),
    "CN-XJ": ("Xinjiang", "新疆"),
    "CN-XZ": ("Tibet", "西藏"),
    "CN-YN": ("Yunnan", "云南"),
    "CN-ZJ": ("Zhejiang", "浙江"),
}
"""ISO 3166-2 -> the province's name in English and in Chinese."""

CARRIERS: dict[str, str] = {
    "China Broadnet": "中国广电",
    "China Mobile": "中国移动",
    "China Telecom": "中国电信",
    "China Unicom": "中国联通",
}
"""China's carriers by their English names, and their Chinese ones."""

LOCATIONS = [PhoneLocation(carrier, region) for carrier in (UNKNOWN, *CARRIERS) for region in (CHINA, *PROVINCES)]
"""What a byte of the table stands for."""


def locate_number(nationcode: str, mobile: str) -> PhoneLocation:
    """The place of a callee as callbacks name him."""
    if nationcode in _CHINESE and len(mobile) == _MOBILE_LENGTH and mobile.isascii() and mobile.isdigit():
        return _locate_chinese(mobile)
    return _locate_foreign(nationcode, mobile)


def _locate_chinese(mobile: str) -> PhoneLocation:
    prefix = int(mobile[:_PREFIX_LENGTH])
    known = FIRST_PREFIX <= prefix <= LAST_PREFIX
    return LOCATIONS[_table()[prefix - FIRST_PREFIX]] if known else LOCATIONS[0]


@cache
def _table() -> bytes:
    """A byte for each prefix: which of PLACES it is."""
    return zlib.decompress(files("answerback.domain").joinpath("phone_locations.bin").read_bytes())


@lru_cache(maxsize=65_536)
def _locate_foreign(nationcode: str, mobile: str) -> PhoneLocation:
    import phonenumbers  # large tables: only who calls abroad pays for them

    number = e164(nationcode, mobile)
    if number is None:
        return PhoneLocation(UNKNOWN, _country_of(nationcode))
    if number.startswith("+86") and len(number) == len("+86") + _MOBILE_LENGTH:
        return _locate_chinese(number.removeprefix("+86"))
    parsed = phonenumbers.parse(number, None)
    region = phonenumbers.region_code_for_number(parsed)
    return PhoneLocation(UNKNOWN, region or _country_of(str(parsed.country_code)))


def _country_of(nationcode: str) -> str:
    from phonenumbers import region_code_for_country_code

    code = nationcode.removeprefix("+").removeprefix("00")
    if not code.isascii() or not code.isdigit() or len(code) > len("999"):
        return UNKNOWN
    region = region_code_for_country_code(int(code))
    return region if len(region) == len(CHINA) and region.isalpha() and region != "ZZ" else UNKNOWN


def region_name(region: str, language: str) -> str:
    """A region's name in "en" or "zh"; empty where it is unknown."""
    if region in PROVINCES:
        return PROVINCES[region][language == "zh"]
    return _countries()[region][language == "zh"] if region in _countries() else region


def carrier_name(carrier: str, language: str) -> str:
    """A carrier's name in "en" or "zh"; one without a Chinese name keeps its own."""
    return CARRIERS.get(carrier, carrier) if language == "zh" else carrier


@cache
def _countries() -> dict[str, tuple[str, str]]:
    """Each country that has telephone numbers: its name in English and in Chinese."""
    names: dict[str, tuple[str, str]] = json.loads(files("answerback.domain").joinpath("countries.json").read_bytes())
    return names
