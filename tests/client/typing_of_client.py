"""What mypy knows of the client: `make check` reads this, nobody runs it.

Where mypy should complain there is an `ignore`, and one that is not needed is an error, too.
"""

from collections.abc import AsyncGenerator, Generator
from datetime import datetime
from typing import Any, assert_type

import answerback
from answerback import AsyncClient, Client, construct_event
from answerback.client.operations import AsyncPages, Pages
from answerback.domain.models import Outcome, Role
from answerback.schemas.callbacks import BulkSubmitView, CallbackView
from answerback.schemas.calls import CallView
from answerback.schemas.endpoints import EndpointWithSecretView
from answerback.schemas.keys import CurrentKeyView
from answerback.schemas.view import PageView


def sync(client: Client) -> None:
    """Answers at once."""
    assert_type(client.calls.get("x"), CallView)
    assert_type(client.calls.get("x", channel="alerts").outcome, Outcome)
    assert_type(client.calls.get("x").answered_at, datetime | None)
    assert_type(client.calls.list(outcome="failed"), Pages[CallView])
    assert_type(list(client.calls.callbacks("x")), list[CallbackView])
    assert_type(client.calls.list().first(), PageView[CallView])
    assert_type(client.endpoints.create("http://r/", kinds=["prompt"]), EndpointWithSecretView)
    assert_type(client.callbacks.submit_many([b"{}", {}]), BulkSubmitView)
    assert_type(client.me().role, Role)
    assert_type(client.export("calls").rows(), Generator[dict[str, Any], None, None])
    client.endpoints.delete("crm")
    client.calls.get()  # type: ignore[call-arg]
    client.calls.get(1)  # type: ignore[arg-type]
    client.calls.list(result="failed")  # type: ignore[call-arg]
    client.calls.annotate("x", due_at="tomorrow")  # type: ignore[arg-type]
    client.endpoints.create("http://r/", timeout=5)  # type: ignore[call-arg]
    client.keys.create("k")  # type: ignore[call-arg]
    client.nothing()  # type: ignore[attr-defined]


async def asynchronous(client: AsyncClient) -> None:
    """Answers when it is awaited."""
    assert_type(await client.calls.get("x"), CallView)
    assert_type(client.calls.list(outcome="failed"), AsyncPages[CallView])
    assert_type([callback async for callback in client.calls.callbacks("x")], list[CallbackView])
    assert_type(await client.calls.list().first(), PageView[CallView])
    assert_type(await client.me(), CurrentKeyView)
    assert_type(client.export("calls").rows(), AsyncGenerator[dict[str, Any], None])
    client.calls.get("x").outcome  # type: ignore[attr-defined]  # noqa: B018  # it is not awaited


def webhook(body: bytes, headers: dict[str, str]) -> None:
    """An event has the types of the API."""
    event = construct_event(body, headers, ["whsec_old", "whsec_new"])
    assert_type(event.call, CallView)
    assert_type(event.callback, CallbackView | None)
    assert_type(answerback.Client("http://g", "ab_k").me(), CurrentKeyView)
    construct_event("text", headers, "whsec_x")  # type: ignore[arg-type]
