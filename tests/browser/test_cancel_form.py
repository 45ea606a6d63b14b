"""Dead deliveries are seen, and replayed, without JavaScript and in both languages."""

from collections.abc import Iterator

import pytest
from browser.browser_user import BrowserUser
from gateway import OK, Gateway, prompt
from receivers.process import Receiver, await_true

CALLS = 3


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway that tries once, and an endpoint that refuses everything."""
    home = tmp_path_factory.mktemp("giving-up")
    with Receiver(home, "down", behaviour="refusing", status=500) as down:
        config = home / "answerback.toml"
        config.write_text(
            f'[relay]\nretry_schedule_s = []\nbreaker_threshold = 1000\n[endpoints.down]\nurl = "{down.url}"\nconcurrency = 1\n'
        )
        with Gateway(home / "data", options=["--config", config]) as gateway:
            for n in range(CALLS):
                assert gateway.post(prompt(f"given-up-{n}")).content == OK
            yield gateway


def given_up(gateway: Gateway) -> int:
    """How many deliveries are dead."""
    return len(gateway.items("/v1/deliveries", state="dead"))


def test_what_was_cancelled_is_replayed(user: BrowserUser, gateway: Gateway) -> None:
    """The endpoint says how many; one button delivers them again; the page of the replay ends by itself."""
    await_true(lambda: given_up(gateway) == CALLS, lambda: f"{given_up(gateway)} given up")
    w = user.w
    user.go("/console/endpoints")
    assert user.page.locator(".bad-tile").inner_text().split() == [*w["state_dead"].split(), str(CALLS)]
    user.go("/console/endpoints/down")
    user.follow(user.page.locator(".bad-tile a"))
    assert user.page.locator(".deliveries tbody tr").count() == CALLS
    user.page.go_back()
    user.press(w["replay_dead"] % CALLS)
    assert w["replay_of_dead"] in user.text
    user.page.locator("h1").get_by_text(w["replay_done"]).wait_for()
    assert w["replay_replayed"] % CALLS in user.text
    await_true(lambda: given_up(gateway) == CALLS, lambda: f"{given_up(gateway)} given up")
    user.go("/console/deliveries/1")
    assert user.page.locator(".attempt").count() >= 1 + 1
