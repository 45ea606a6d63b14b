"""The addresses of what pages link to, as browsers see them: ids that other people made up, quoted; pure."""

from dataclasses import dataclass
from urllib.parse import quote, urlencode

PATH = "/console"


@dataclass(frozen=True)
class Links:
    """Addresses below `base`, the path that a proxy has put in front of ours; "" where there is none."""

    base: str = ""

    @property
    def console(self) -> str:
        """The first page, and the path of the cookies."""
        return self.base + PATH

    def call(self, callid: str, channel: str | None = None) -> str:
        """The page of a call. A callid may hold any printable text; browsers would resolve dots in a path, not in a query."""
        in_path = callid.strip() == callid and not {".", ".."} & set(callid.split("/"))
        query = {} if in_path else {"callid": callid}
        query |= {} if channel is None else {"channel": channel}
        path = f"{self.console}/calls/{quote(callid)}" if in_path else f"{self.console}/call"
        return path + (f"?{urlencode(query)}" if query else "")

    def delivery(self, id_: int) -> str:
        return f"{self.console}/deliveries/{id_}"

    def endpoint(self, name: str, *below: str) -> str:
        """The page of an endpoint, or one below it."""
        return "/".join([f"{self.console}/endpoints", *(quote(part, safe="") for part in (name, *below))])

    def list(self, page: str, **query: str | None) -> str:
        fields = {name: value for name, value in query.items() if value}
        return f"{self.console}/{page}" + (f"?{urlencode(fields)}" if fields else "")

    def contains(self, path: str) -> bool:
        """Whether a page of the console could have this path."""
        return path == self.console or path.startswith(f"{self.console}/")
