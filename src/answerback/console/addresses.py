"""The addresses of what pages link to: ids that other people made up, quoted; pure."""

from urllib.parse import quote, urlencode

from answerback.console.session import PATH


def call_url(callid: str, channel: str | None = None) -> str:
    """The page of a call. A callid may hold any printable text; browsers would resolve dots in a path, not in a query."""
    in_path = callid.strip() == callid and not {".", ".."} & set(callid.split("/"))
    query = {} if in_path else {"callid": callid}
    query |= {} if channel is None else {"channel": channel}
    path = f"{PATH}/calls/{quote(callid)}" if in_path else f"{PATH}/call"
    return path + (f"?{urlencode(query)}" if query else "")


def delivery_url(id_: int) -> str:
    """The page of a delivery."""
    return f"{PATH}/deliveries/{id_}"


def endpoint_url(name: str, *below: str) -> str:
    """The page of an endpoint, or one below it."""
    return "/".join([f"{PATH}/endpoints", *(quote(part, safe="") for part in (name, *below))])


def list_url(page: str, **query: str | None) -> str:
    """A list with its filters."""
    given = {name: value for name, value in query.items() if value}
    return f"{PATH}/{page}" + (f"?{urlencode(given)}" if given else "")
