import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from answerback.domain.masking import MASKS, mask_fields, mask_json, mask_path, mask_raw_body, mask_urls
from answerback.domain.models import Call


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        (
            '{"k":{"mobile":"13788888888","call_from":"4001234567"}}',
            '{"k":{"mobile":"137****8888","call_from":"********67"}}',
        ),
        ('{"mobile": 13788888888}', '{"mobile": "137****8888"}'),
        ('{"mobile": 13788888888.0, "x": 1.3788888888e10}', '{"mobile": "137****8888", "x": "137****8888"}'),
        ('{"nationcode": 8613788888888, "fee": 83763333}', '{"nationcode": "861******8888", "fee": "******33"}'),
        ('{"keypress":"137 8888 8888"}', '{"keypress":"137 **** 8888"}'),
        ('{"callid":"83763333"}', '{"callid":"******33"}'),
        (r'{"x":"\ud800 13788888888"}', r'{"x":"\ud800 137****8888"}'),
        ("1\x003\x007\x008\x008\x008\x008\x008", "*\x00*\x00*\x00*\x00*\x00*\x008\x008"),
        ('{"mobile":"13xxxxxxxxx"}', '{"mobile":"13x****xxxx"}'),
        ('{"ext":"call 13788888888","list":[1378888888.5]}', '{"ext":"call 137****8888","list":["********88.5"]}'),
        ('{"mobile":"13788888888","mobile":"13900001111"}', '{"mobile":"137****8888","mobile":"139****1111"}'),
        (r'{"x":"\u0031\u0033\u0037\u0038\u0038\u0038\u0038\u0038\u0038\u0038\u0038"}', '{"x":"137****8888"}'),
        ('{"x":"137-8888-8888 or 137 8888 8888"}', '{"x":"137-****-8888 or 137 **** 8888"}'),
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
    assert mask_raw_body(body) == masked


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
    assert mask_raw_body(body) == body


@pytest.mark.parametrize("name", ["callid", "accept_time"])
def test_a_number_does_not_hide_under_another_name(name: str) -> None:
    """What is the callee's number is hidden wherever it stands; and a time of eleven digits is none."""
    assert "13788888888" not in mask_raw_body(f'{{"{name}":"13788888888","mobile":"13788888888"}}')
    assert "13788888888" not in mask_raw_body('{"accept_time":"13788888888"}')
    assert (
        mask_raw_body('{"accept_time":"1378888888","x":"13788888889"}')
        == '{"accept_time":"1378888888","x":"137****8889"}'
    )


@given(
    st.text(max_size=40), st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True), st.sampled_from(["mobile", "phone", "é"])
)
def test_a_body_keeps_no_number(text: str, number: str, name: str) -> None:
    """However it is written as JSON, and whatever is around it."""
    for body in (json.dumps({name: number, "x": text}), json.dumps([{name: int(number)}, text]), f"{text} {number}"):
        assert number not in mask_raw_body(body)


def test_masked_metadata() -> None:
    """Numbers in texts, as numbers and as names, at any depth; the rest stays as it is."""
    document = {"a": 13788888888, "b": [True, None, 1.5, {"13788888888": "call 13788888888"}], "c": "x"}
    masked = {"a": "137****8888", "b": [True, None, 1.5, {"137****8888": "call 137****8888"}], "c": "x"}
    assert mask_json(document) == masked
    assert mask_json(None) is None


def test_numbers_in_the_floats_of_metadata() -> None:
    """A whole float is a number like another; where one with a point stands, its parts are looked at alone."""
    assert mask_json({"a": 13788888888.0, "b": 121.4737, "c": 1378888888.5}) == {
        "a": "137****8888",
        "b": 121.4737,
        "c": "********88.5",
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_stays_json(document: object) -> None:
    """Whatever is hidden, a body that is JSON can still be read as such, with as many values."""
    body = json.dumps(document)
    assert json.dumps(json.loads(mask_raw_body(body))).count(",") >= body.count(",") - body.count('"')
    mask_raw_body(body).encode("utf-8", "surrogatepass")


def test_every_text_of_a_call_has_its_mask() -> None:
    """A field that is added to the record is masked, or is said to hold no number: here."""
    no_numbers = {
        "channel",
        "kind",
        "outcome",
        "result",
        "started_at",
        "answered_at",
        "ended_at",
        "due_at",
        "fingerprints",
    }
    no_numbers |= {"overdue_at", "revisions", "first_seen_at", "updated_at", "annotated_at", "keys_total"}
    assert set(Call.__struct_fields__) - no_numbers <= set(MASKS)


def test_counts_that_cannot_be_are_hidden() -> None:
    """Somebody's number in the wrong field."""
    assert mask_fields({"fee_minutes": 83763333, "failure_code": 8}, full_numbers=False) == {
        "fee_minutes": None,
        "failure_code": 8,
    }
    assert mask_fields({"fee_minutes": 83763333}, full_numbers=True) == {"fee_minutes": 83763333}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://crm.example.com/voice?token=s3cret", "https://crm.example.com"),
        ("https://user:pw@crm.example.com:8443/", "https://crm.example.com:8443"),
        ("http://[::1]:8000/x, no", "http://[::1]:8000, no"),
        ("answered 302 to https://b.example/x/y?z#f: not followed", "answered 302 to https://b.example: not followed"),
        ("to http://b.example: not followed", "to http://b.example: not followed"),
        ("no URL", "no URL"),
    ],
)
def test_of_a_url_scheme_and_host_are_shown(text: str, shown: str) -> None:
    """Alone, and in prose."""
    assert mask_urls(text) == shown


def test_the_path_of_an_endpoint_is_hidden_where_it_is_repeated() -> None:
    """As it is, without its query, and as HTML."""
    url = "https://crm.example.com/hooks/k3y?token=s3cret&x=1"
    for echo in ("/hooks/k3y?token=s3cret&x=1", "/hooks/k3y", "/hooks/k3y?token=s3cret&amp;x=1", "bad token s3cret"):
        shown = mask_path(f"Cannot POST {echo}", url)
        assert "k3y" not in shown
        assert "s3cret" not in shown
    assert mask_path("a/b/c", "https://crm.example.com/") == "a/b/c"


def test_a_body_of_thousands_of_numbers_takes_no_longer() -> None:
    """Each is hidden where it is named as a number; they are not looked for in each other."""

    def took_s(body: str) -> float:
        began_s = time.process_time()
        mask_raw_body(body)
        return time.process_time() - began_s

    named, other = (json.dumps([{name: str(20_000 + n)} for n in range(3_000)]) for name in ("mobile", "number"))
    assert min(took_s(named) for _ in range(3)) < 4 * min(took_s(other) for _ in range(3))
    assert json.loads(mask_raw_body(named))[0] == {"mobile": "***00"}
