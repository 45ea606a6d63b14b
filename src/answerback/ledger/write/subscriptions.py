"""Which endpoints want what, as of the last change."""

from collections import defaultdict
from collections.abc import Collection
from secrets import token_bytes

from sqlalchemy.engine import Connection

from answerback.domain.calls import public_id
from answerback.domain.delivery_states import TAG_LENGTH
from answerback.domain.endpoints import Endpoint
from answerback.ledger.admin import endpoints as store


class SubscriptionCache:
    """The endpoints as of the transaction under way, and the ids by which they know callbacks.

    Without `id_key`, as where a command writes while the gateway does, nobody else can make the same ids.
    """

    def __init__(self, id_key: bytes | None = None) -> None:
        self._id_key = id_key or token_bytes()
        self._revision = -1
        self._by_id: dict[int, Endpoint] = {}
        self._by_channel: defaultdict[str, dict[int, Endpoint]] = defaultdict(dict)

    def refresh(self, connection: Connection) -> None:
        """Read again the endpoints that were changed, by whichever process."""
        revision = store.revision(connection)
        if revision != self._revision:
            for endpoint, there in store.changed_since(connection, self._revision):
                before = self._by_id.pop(endpoint.id, None)
                if before and not (there and before.channel == endpoint.channel):
                    del self._by_channel[before.channel][before.id]
                if there:
                    self._by_id[endpoint.id] = self._by_channel[endpoint.channel][endpoint.id] = endpoint
            self._revision = revision

    def endpoint(self, id_: int) -> Endpoint | None:
        """The endpoint of this id, unless it was removed."""
        return self._by_id.get(id_)

    def for_channel(self, channel: str) -> Collection[Endpoint]:
        return self._by_channel[channel].values()

    def public_id(self, fingerprint: bytes) -> bytes:
        """What a callback is known by outside."""
        return public_id(self._id_key, fingerprint)

    def message_tag(self, fingerprint: bytes) -> str:
        """What a callback's message ids end in."""
        return self.public_id(fingerprint).hex()[:TAG_LENGTH]

    @property
    def is_empty(self) -> bool:
        return not self._by_id

    def clear(self) -> None:
        """A transaction was undone: what was read in it may not hold."""
        self._revision = -1
        self._by_id.clear()
        self._by_channel.clear()
