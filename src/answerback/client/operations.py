"""What a function of the client is: one description of a request, sent by `Client` at once and by `AsyncClient` when awaited.

A description is written as a method that returns a `GatewayRequest`; `operation` and `listing` give it the type that its user sees:

    @operation
    def get(self, callid: str) -> GatewayRequest[CallView]: ...

    Calls[SyncSender].get    # (callid: str) -> CallView
    Calls[AsyncSender].get   # (callid: str) -> Coroutine[..., CallView]
"""

import inspect
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, get_args, get_type_hints, overload

from answerback.client.errors import UnexpectedResponse
from answerback.client.requests import GatewayRequest
from answerback.client.senders import AsyncSender, SyncSender
from answerback.schemas.view import PageView

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S", bound=SyncSender | AsyncSender)


def strict(function: Callable[P, T]) -> Callable[P, T]:
    """`function`, which refuses a name that its TypedDict lacks: a filter that is misspelt must not let everything through."""
    parameters = inspect.signature(function).parameters.values()
    shapes = [get_args(one.annotation)[0] for one in parameters if one.kind is one.VAR_KEYWORD]
    if not shapes:
        return function
    known = {one.name for one in parameters if one.kind is not one.VAR_KEYWORD}.union(*map(get_type_hints, shapes))

    @wraps(function)
    def run(*arguments: P.args, **named: P.kwargs) -> T:
        for name in named:
            if name not in known:
                expected = ", ".join(sorted(known - {"self"}))
                raise TypeError(
                    f"{function.__name__}() got an unexpected keyword argument {name!r}: expected {expected}"
                )
        return function(*arguments, **named)

    return run


class Resource(Generic[S]):
    """Operations that go out by one sender."""

    def __init__(self, sender: S) -> None:
        self.sender: S = sender


class operation(Generic[P, T]):  # noqa: N801  # a decorator
    """An operation whose answer is a T."""

    def __init__(self, describe: Callable[Concatenate[Any, P], GatewayRequest[T]]) -> None:
        self.describe = strict(describe)
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> "operation[P, T]": ...
    @overload
    def __get__(self, resource: Resource[SyncSender], owner: type) -> Callable[P, T]: ...
    @overload
    def __get__(self, resource: Resource[AsyncSender], owner: type) -> Callable[P, Coroutine[Any, Any, T]]: ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Any:
        return self if resource is None else _bound(self.describe, resource, resource.sender.send)


class listing(Generic[P, T]):  # noqa: N801  # a decorator
    """An operation whose answer is a list of T, in pages."""

    def __init__(self, describe: Callable[Concatenate[Any, P], GatewayRequest[PageView[T]]]) -> None:
        self.describe = strict(describe)
        self.__doc__ = describe.__doc__

    @overload
    def __get__(self, resource: None, owner: type) -> "listing[P, T]": ...
    @overload
    def __get__(self, resource: Resource[SyncSender], owner: type) -> "Callable[P, Pages[T]]": ...
    @overload
    def __get__(self, resource: Resource[AsyncSender], owner: type) -> "Callable[P, AsyncPages[T]]": ...
    def __get__(self, resource: Resource[Any] | None, owner: type) -> Any:
        if resource is None:
            return self
        pages = Pages if isinstance(resource.sender, SyncSender) else AsyncPages
        return _bound(self.describe, resource, lambda request: pages(resource.sender, request))


def _bound(
    describe: Callable[..., GatewayRequest[Any]], resource: Resource[Any], send: Callable[[GatewayRequest[Any]], Any]
) -> Callable[..., Any]:
    @wraps(describe)
    def run(*arguments: Any, **named: Any) -> Any:
        return send(describe(resource, *arguments, **named))

    return run


def _require_progress(page: PageView[T], following: PageView[T]) -> PageView[T]:
    """The page behind `page`. Raises UnexpectedResponse where it leads to itself: the list would never end."""
    if following.next_cursor is not None and following.next_cursor == page.next_cursor:
        raise UnexpectedResponse("next_cursor: leads to the same page again")
    return following


class Pages(Generic[T]):
    """A list: its items in order, read page by page as they are asked for."""

    def __init__(self, sender: SyncSender, request: GatewayRequest[PageView[T]]) -> None:
        self._sender = sender
        self._request = request

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page.items

    def pages(self) -> Iterator[PageView[T]]:
        page = self.first()
        while page.next_cursor is not None:
            yield page
            page = _require_progress(page, self._sender.send(self._request.page(page.next_cursor)))
        yield page

    def first(self) -> PageView[T]:
        """The page that the list starts with, alone."""
        return self._sender.send(self._request)


class AsyncPages(Generic[T]):
    """A list: its items in order, read page by page as they are asked for."""

    def __init__(self, sender: AsyncSender, request: GatewayRequest[PageView[T]]) -> None:
        self._sender = sender
        self._request = request

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        async for page in self.pages():
            for item in page.items:
                yield item

    async def pages(self) -> AsyncGenerator[PageView[T], None]:
        page = await self.first()
        while page.next_cursor is not None:
            yield page
            page = _require_progress(page, await self._sender.send(self._request.page(page.next_cursor)))
        yield page

    async def first(self) -> PageView[T]:
        """The page that the list starts with, alone."""
        return await self._sender.send(self._request)
