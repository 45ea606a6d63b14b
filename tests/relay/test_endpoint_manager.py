from pathlib import Path

import pytest
from builders import ADMIN
from relay.factories import SECRET
from relay.harness import answered, relaying
from relay.receiver import receiving
from relay.waiting import in_loop

from answerback.domain.endpoints import EndpointConfig
from answerback.errors import ConfigError, InvalidEndpoint, ResourceNotFound, StateConflict
from answerback.ledger.admin.endpoints import revision
from answerback.relay import ConfigEndpoint

URL = "http://nowhere.invalid/voice"


def wanted(url: str = URL, *, enabled: bool = True, secret: str | None = None, **config: str) -> ConfigEndpoint:
    """An endpoint of the config file."""
    made = EndpointConfig(url=url, **config)  # type: ignore[arg-type]
    return ConfigEndpoint(channel="default", config=made, enabled=enabled, secret=secret)


@in_loop
async def test_a_certificate_that_nobody_configured_is_refused(tmp_path: Path) -> None:
    """Who adds or changes an endpoint names a certificate of the config file, and no path."""
    async with relaying(tmp_path) as harness:
        for name in ("unheard-of", "/etc/ssl/ca.pem"):
            with pytest.raises(
                InvalidEndpoint, match=f"^certificate: there is no certificate {name} in the config file$"
            ):
                await harness.endpoint(URL, certificate=name)


@in_loop
async def test_an_address_that_may_not_be_is_refused_at_once(tmp_path: Path) -> None:
    """Whoever adds an endpoint learns it then; a name that means nothing yet may mean something later."""
    async with relaying(tmp_path) as harness:
        for url in ("http://10.0.0.1/", "https://169.254.169.254/latest", "http://[::1]:80/", "http://[fe80::1]/"):
            with pytest.raises(InvalidEndpoint, match=r"^url: "):
                await harness.endpoint(url)
        to = await harness.endpoint(URL)
        with pytest.raises(InvalidEndpoint, match=r"^url: "):
            await harness.endpoint_manager.change(ADMIN, "crm", None, EndpointConfig(url="http://192.168.1.1/"))
        assert harness.endpoint_manager.find("crm") == to


@in_loop
async def test_a_name_that_cannot_be_is_no_fault_of_the_program(tmp_path: Path) -> None:
    """A label too long: refused as an invalid URL, or taken for a name that means nothing."""
    async with relaying(tmp_path) as harness:
        for host in ("a" * 64 + ".example", "a..example"):
            try:
                await harness.endpoint(f"http://{host}/", f"crm-{len(host)}")
            except InvalidEndpoint as error:
                assert error.field == "url"  # noqa: PT017  # either is fine


@in_loop
async def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    """A name that is taken, an invalid secret, an endpoint that is not there."""
    async with receiving() as receiver, relaying(tmp_path) as harness:
        to = await harness.endpoint(receiver.url())
        with pytest.raises(StateConflict, match=r"^name: "):
            await harness.endpoint(receiver.url())
        for invalid in (
            harness.endpoint_manager.add(ADMIN, "b", "default", EndpointConfig(url=URL), secret="x"),
            harness.endpoint_manager.rotate_secret(ADMIN, "crm", "x"),
        ):
            with pytest.raises(InvalidEndpoint, match=r"^secret: "):
                await invalid
        for absent in (
            harness.endpoint_manager.remove(ADMIN, "b"),
            harness.endpoint_manager.set_enabled(ADMIN, "99", enabled=True),
        ):
            with pytest.raises(ResourceNotFound):
                await absent
        assert harness.endpoint_manager.find("crm") == harness.endpoint_manager.find(str(to.id)) == to
        assert (await harness.endpoint_manager.test(ADMIN, "crm")).result.error is None


@in_loop
async def test_the_config_file_decides_at_each_start(tmp_path: Path) -> None:
    """Made, changed, switched off and removed as the file says; by hand it can only be switched."""
    async with relaying(tmp_path, wanted={"a": wanted(), "b": wanted(enabled=False)}) as harness:
        a, b = harness.endpoint_manager.find("a"), harness.endpoint_manager.find("b")
        assert (a.enabled, a.from_config, b.enabled) == (True, True, False)
        for forbidden in (
            harness.endpoint_manager.remove(ADMIN, "a"),
            harness.endpoint_manager.change(ADMIN, "a", None, None),
        ):
            with pytest.raises(StateConflict, match="config file"):
                await forbidden
        await harness.endpoint_manager.set_enabled(ADMIN, "a", enabled=False, reason="too many calls")
        await harness.endpoint(URL, "mine")
    async with relaying(tmp_path, wanted={"a": wanted(), "b": wanted()}) as harness:
        assert harness.endpoint_manager.find("a").disabled_reason == "too many calls"
        assert harness.endpoint_manager.find("b").enabled
        assert harness.endpoint_manager.find("a").secret == a.secret
    async with relaying(tmp_path, wanted={"a": wanted(URL + "/new", secret=SECRET)}) as harness:
        changed = harness.endpoint_manager.find("a")
        assert (changed.id, changed.enabled, changed.config.url) == (a.id, True, URL + "/new")
        assert (changed.secret, changed.previous_secret) == (SECRET, a.secret)
        assert not harness.endpoint_manager.find("mine").from_config


@in_loop
async def test_what_is_not_in_the_config_file_any_more_is_off_and_loses_nothing(tmp_path: Path) -> None:
    """A start without the file gives nothing up; the endpoint goes on when it is back, or is removed for good."""
    async with receiving() as receiver:
        file = {"a": wanted(receiver.url()), "b": wanted(receiver.url())}
        async with relaying(tmp_path, wanted=file) as harness:
            await harness.endpoint_manager.set_enabled(ADMIN, "a", enabled=False)
            await harness.endpoint_manager.set_enabled(ADMIN, "b", enabled=False)
            await harness.record(answered("first"))
        async with relaying(tmp_path) as harness:
            for name in file:
                gone = harness.endpoint_manager.find(name)
                assert (gone.enabled, gone.disabled_reason) == (False, "removed from the config file")
            await harness.record(answered("second"))
            await harness.endpoint_manager.remove(ADMIN, "b")
            assert receiver.posts == []
        async with relaying(tmp_path, wanted={"a": file["a"]}) as harness:
            await harness.settled(2, harness.endpoint_manager.find("a"))
            assert len(receiver.posts) == 2
            with pytest.raises(ResourceNotFound):
                harness.endpoint_manager.find("b")


@in_loop
async def test_a_secret_is_changed_where_it_is(tmp_path: Path) -> None:
    """One that the config file gives cannot be rotated by hand: the next start would undo it."""
    async with relaying(tmp_path, wanted={"fixed": wanted(secret=SECRET), "made": wanted()}) as harness:
        with pytest.raises(StateConflict, match="config file"):
            await harness.endpoint_manager.rotate_secret(ADMIN, "fixed")
        made = harness.endpoint_manager.find("made").secret
        rotated = await harness.endpoint_manager.rotate_secret(ADMIN, "made")
        assert rotated.previous_secret == made
    async with relaying(tmp_path, wanted={"made": wanted()}) as harness:
        assert harness.endpoint_manager.find("made").secret == rotated.secret


@in_loop
async def test_an_endpoint_made_by_hand_is_not_taken_over(tmp_path: Path) -> None:
    """The config file is refused, by the setting, and nothing of it is applied."""
    async with relaying(tmp_path) as harness:
        await harness.endpoint(URL, "mine")
        with pytest.raises(ConfigError, match=r"^endpoints\.mine: an endpoint of that name exists"):
            await harness.endpoint_manager.start({"before": wanted(), "mine": wanted()})
        assert [end.name for end in harness.ledger.endpoints()] == ["mine"]


@in_loop
async def test_a_config_file_of_many_endpoints_is_one_change(tmp_path: Path) -> None:
    """All of them or none, in one transaction however many they are; and none where nothing is new."""
    many = {f"customer-{number}": wanted() for number in range(2000)}
    async with relaying(tmp_path, wanted=many) as harness:
        assert {end.name for end in harness.ledger.endpoints()} == set(many)
        assert harness.ledger.read(revision) == 1
    async with relaying(tmp_path, wanted=many) as harness:
        assert harness.ledger.read(revision) == 1
        assert harness.endpoint_manager.find("customer-1999") == harness.ledger.endpoint("customer-1999")
