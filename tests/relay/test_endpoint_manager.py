from pathlib import Path

import pytest
from builders import ADMIN
from relay.factories import SECRET
from relay.harness import answered, relaying
from relay.receiver import receiving
from relay.waiting import in_loop

from answerback.domain.models import Definition
from answerback.errors import ConfigError, Conflict, NotFound, UnfitEndpoint
from answerback.ledger.admin.endpoints import revision
from answerback.relay import Wanted

URL = "http://nowhere.invalid/voice"


def wanted(url: str = URL, *, enabled: bool = True, secret: str | None = None, **definition: str) -> Wanted:
    """An endpoint of the config file."""
    return Wanted(channel="default", definition=Definition(url=url, **definition), enabled=enabled, secret=secret)  # type: ignore[arg-type]


@in_loop
async def test_a_certificate_that_nobody_configured_is_refused(tmp_path: Path) -> None:
    """Who adds or changes an endpoint names a certificate of the config file, and no path."""
    async with relaying(tmp_path) as world:
        for name in ("unheard-of", "/etc/ssl/ca.pem"):
            with pytest.raises(
                UnfitEndpoint, match=f"^certificate: there is no certificate {name} in the config file$"
            ):
                await world.endpoint(URL, certificate=name)


@in_loop
async def test_an_address_that_may_not_be_is_refused_at_once(tmp_path: Path) -> None:
    """Whoever adds an endpoint learns it then; a name that means nothing yet may mean something later."""
    async with relaying(tmp_path) as world:
        for url in ("http://10.0.0.1/", "https://169.254.169.254/latest", "http://[::1]:80/", "http://[fe80::1]/"):
            with pytest.raises(UnfitEndpoint, match=r"^url: "):
                await world.endpoint(url)
        to = await world.endpoint(URL)
        with pytest.raises(UnfitEndpoint, match=r"^url: "):
            await world.registry.change(ADMIN, "crm", None, Definition(url="http://192.168.1.1/"))
        assert world.registry.find("crm") == to


@in_loop
async def test_a_name_that_cannot_be_is_no_fault_of_the_program(tmp_path: Path) -> None:
    """A label too long: refused as an unfit URL, or taken for a name that means nothing."""
    async with relaying(tmp_path) as world:
        for host in ("a" * 64 + ".example", "a..example"):
            try:
                await world.endpoint(f"http://{host}/", f"crm-{len(host)}")
            except UnfitEndpoint as error:
                assert error.field == "url"  # noqa: PT017  # either is fine


@in_loop
async def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    """A name that is taken, an unfit secret, an endpoint that is not there."""
    async with receiving() as receiver, relaying(tmp_path) as world:
        to = await world.endpoint(receiver.url())
        with pytest.raises(Conflict, match=r"^name: "):
            await world.endpoint(receiver.url())
        for unfit in (
            world.registry.add(ADMIN, "b", "default", Definition(url=URL), secret="x"),
            world.registry.rotate_secret(ADMIN, "crm", "x"),
        ):
            with pytest.raises(UnfitEndpoint, match=r"^secret: "):
                await unfit
        for absent in (world.registry.remove(ADMIN, "b"), world.registry.switch(ADMIN, "99", on=True)):
            with pytest.raises(NotFound):
                await absent
        assert world.registry.find("crm") == world.registry.find(str(to.id)) == to
        assert (await world.registry.test(ADMIN, "crm")).error is None


@in_loop
async def test_the_config_file_decides_at_each_start(tmp_path: Path) -> None:
    """Made, changed, switched off and removed as the file says; by hand it can only be switched."""
    async with relaying(tmp_path, wanted={"a": wanted(), "b": wanted(enabled=False)}) as world:
        a, b = world.registry.find("a"), world.registry.find("b")
        assert (a.enabled, a.from_config, b.enabled) == (True, True, False)
        for forbidden in (world.registry.remove(ADMIN, "a"), world.registry.change(ADMIN, "a", None, None)):
            with pytest.raises(Conflict, match="config file"):
                await forbidden
        await world.registry.switch(ADMIN, "a", on=False, reason="too many calls")
        await world.endpoint(URL, "mine")
    async with relaying(tmp_path, wanted={"a": wanted(), "b": wanted()}) as world:
        assert world.registry.find("a").disabled_reason == "too many calls"
        assert world.registry.find("b").enabled
        assert world.registry.find("a").secret == a.secret
    async with relaying(tmp_path, wanted={"a": wanted(URL + "/new", secret=SECRET)}) as world:
        changed = world.registry.find("a")
        assert (changed.id, changed.enabled, changed.definition.url) == (a.id, True, URL + "/new")
        assert (changed.secret, changed.old_secret) == (SECRET, a.secret)
        assert not world.registry.find("mine").from_config


@in_loop
async def test_what_is_not_in_the_config_file_any_more_is_off_and_loses_nothing(tmp_path: Path) -> None:
    """A start without the file gives nothing up; the endpoint goes on when it is back, or is removed for good."""
    async with receiving() as receiver:
        file = {"a": wanted(receiver.url()), "b": wanted(receiver.url())}
        async with relaying(tmp_path, wanted=file) as world:
            await world.registry.switch(ADMIN, "a", on=False)
            await world.registry.switch(ADMIN, "b", on=False)
            await world.record(answered("first"))
        async with relaying(tmp_path) as world:
            for name in file:
                gone = world.registry.find(name)
                assert (gone.enabled, gone.disabled_reason) == (False, "not in the config file any more")
            await world.record(answered("second"))
            await world.registry.remove(ADMIN, "b")
            assert receiver.posts == []
        async with relaying(tmp_path, wanted={"a": file["a"]}) as world:
            await world.settled(2, world.registry.find("a"))
            assert len(receiver.posts) == 2
            with pytest.raises(NotFound):
                world.registry.find("b")


@in_loop
async def test_a_secret_is_changed_where_it_is(tmp_path: Path) -> None:
    """One that the config file gives cannot be rotated by hand: the next start would undo it."""
    async with relaying(tmp_path, wanted={"fixed": wanted(secret=SECRET), "made": wanted()}) as world:
        with pytest.raises(Conflict, match="config file"):
            await world.registry.rotate_secret(ADMIN, "fixed")
        made = world.registry.find("made").secret
        rotated = await world.registry.rotate_secret(ADMIN, "made")
        assert rotated.old_secret == made
    async with relaying(tmp_path, wanted={"made": wanted()}) as world:
        assert world.registry.find("made").secret == rotated.secret


@in_loop
async def test_an_unfit_endpoint_of_the_config_file_is_named(tmp_path: Path) -> None:
    """By the setting; and one that was made by hand is not taken over."""
    async with relaying(tmp_path) as world:
        await world.endpoint(URL, "mine")
        for name, unfit, match in [
            ("crm", wanted(secret="short"), r"^endpoints\.crm\.secret: expected whsec_"),
            ("crm", wanted(certificate="missing"), r"^endpoints\.crm\.certificate: "),
            ("mine", wanted(), r"^endpoints\.mine: there is one of that name"),
        ]:
            with pytest.raises(ConfigError, match=match):
                await world.registry.start({"before": wanted(), name: unfit})
        assert [end.name for end in world.ledger.endpoints()] == ["mine"]


@in_loop
async def test_a_config_file_of_many_endpoints_is_one_change(tmp_path: Path) -> None:
    """All of them or none, in one transaction however many they are; and none where nothing is new."""
    many = {f"customer-{number}": wanted() for number in range(2000)}
    async with relaying(tmp_path, wanted=many) as world:
        assert {end.name for end in world.ledger.endpoints()} == set(many)
        assert world.ledger.read(revision) == 1
    async with relaying(tmp_path, wanted=many) as world:
        assert world.ledger.read(revision) == 1
        assert world.registry.find("customer-1999") == world.ledger.endpoint("customer-1999")
