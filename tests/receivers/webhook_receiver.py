"""The owner of one channel: the webhooks it receives, and what it asks of the gateway's /v1."""

from collections.abc import Mapping
from typing import Any

import httpx
from gateway import OK, Gateway
from receivers.process import await_true

LOOPBACK = {"ANSWERBACK_RELAY__ALLOWED_NETWORKS": '["127.0.0.0/8"]'}
"""Endpoints made through the API may be on this machine, where the receivers are."""


def relaying(retry_schedule_s: str = "[0.2, 0.2, 0.2]", **relay: str) -> dict[str, str]:
    """The settings of a gateway that tells receivers on this machine, with short pauses that are kept to."""
    settings = {"RETRY_SCHEDULE_S": retry_schedule_s, "JITTER": "0"} | {
        name.upper(): value for name, value in relay.items()
    }
    return LOOPBACK | {f"ANSWERBACK_RELAY__{name}": value for name, value in settings.items()}


class Business:
    """Owns `channel`, whose callback URL ends in `token`; the endpoints that it adds are named after the channel."""

    def __init__(self, gateway: Gateway, channel: str = "default", token: str | None = None) -> None:
        self.gateway = gateway
        self.channel = channel
        self.token = token

    def name(self, endpoint: str) -> str:
        """What the endpoint is called at the gateway."""
        return f"{self.channel}-{endpoint}"

    def hears(self, *bodies: bytes) -> None:
        """The cloud POSTs callbacks to the channel, one after the other, and each is taken."""
        for body in bodies:
            answer = self.gateway.post(body, self.token)
            assert answer.content == OK, answer.text

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str | int] | None = None,
    ) -> httpx.Response:
        """Ask /v1 with the admin key."""
        return self.gateway.client.request(
            method,
            f"/v1/{path}",
            params=query,
            json=body,
            content=content,
            headers={"Authorization": f"Bearer {self.gateway.key}"} | dict(headers or {}),
        )

    def asks(self, method: str, path: str, body: object = None, **query: str | int) -> dict[str, Any]:
        """Ask /v1 for something that it grants; what it answers."""
        answer = self.ask(method, path, body, query=query)
        assert answer.is_success, f"{method} /v1/{path}: {answer.status_code} {answer.text}"
        granted: dict[str, Any] = answer.json() if answer.content else {}
        return granted

    # Endpoints.

    def add(self, endpoint: str, url: str, **fields: object) -> dict[str, Any]:
        """Add an endpoint; it with its secret."""
        own = {"name": self.name(endpoint), "channel": self.channel, "url": url}
        return self.asks("POST", "endpoints", own | fields)

    def change(self, endpoint: str, **fields: object) -> dict[str, Any]:
        """Change an endpoint."""
        return self.asks("PATCH", f"endpoints/{self.name(endpoint)}", fields)

    def switch(self, endpoint: str, *, on: bool) -> dict[str, Any]:
        """Switch an endpoint on or off."""
        return self.asks("POST", f"endpoints/{self.name(endpoint)}/{'enable' if on else 'disable'}")

    def endpoint(self, endpoint: str) -> dict[str, Any]:
        """An endpoint as it stands."""
        return self.asks("GET", f"endpoints/{self.name(endpoint)}")

    # Deliveries.

    def deliveries(self, endpoint: str | None = None, **query: str | int) -> list[dict[str, Any]]:
        """The deliveries of the channel, or to one endpoint, that fit; oldest first, up to a page of them."""
        mine = {"channel": self.channel} if endpoint is None else {"endpoint": self.name(endpoint)}
        items: list[dict[str, Any]] = self.asks("GET", "deliveries", **mine, **({"page_size": 500} | query))["items"]
        return items[::-1]

    def delivery(self, id_: int) -> dict[str, Any]:
        """One delivery with its attempts."""
        return self.asks("GET", f"deliveries/{id_}")

    def tried(self, endpoint: str, callid: str) -> list[dict[str, Any]]:
        """The attempts at the one delivery of a call to an endpoint."""
        (one,) = self.deliveries(endpoint, callid=callid)
        attempts: list[dict[str, Any]] = self.delivery(one["id"])["attempt_log"]
        return attempts

    def await_tried(self, endpoint: str, callid: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many attempts at the one delivery are kept; all of them."""
        await_true(
            lambda: len(self.tried(endpoint, callid)) >= count,
            lambda: f"{callid} at {endpoint} was not tried {count} times: {self.tried(endpoint, callid)}",
        )
        return self.tried(endpoint, callid)

    def await_state(self, endpoint: str, callid: str, state: str, timeout_s: float = 15.0) -> dict[str, Any]:
        """Wait until the one delivery of a call to an endpoint is in that state; it with its attempts."""

        def found() -> list[str]:
            return [one["state"] for one in self.deliveries(endpoint, callid=callid)]

        await_true(lambda: found() == [state], lambda: f"{callid} at {endpoint} is {found()}, not {state}", timeout_s)
        (one,) = self.deliveries(endpoint, callid=callid)
        return self.delivery(one["id"])

    def undelivered(self, endpoint: str) -> int:
        """How many deliveries to an endpoint are still to go out."""
        view = self.endpoint(endpoint)
        return int(view["pending"]) + int(view["blocked"])

    def await_settled(self, *endpoints: str, timeout_s: float = 20.0) -> None:
        """Wait until no delivery to the endpoints can still go out."""
        for endpoint in endpoints:
            self._await_settled(endpoint, timeout_s)

    def _await_settled(self, endpoint: str, timeout_s: float) -> None:
        await_true(
            lambda: self.undelivered(endpoint) == 0,
            lambda: f"{endpoint} is still owed {self.undelivered(endpoint)}",
            timeout_s,
            0.03,
        )
