"""How schemathesis writes a body of `application/x-ndjson`: it knows no such thing by itself."""

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("application/x-ndjson")
def write(_context: SerializationContext, body: object) -> bytes:
    """The body; its schema is a text."""
    return str(body).encode("utf-8", "surrogatepass")
