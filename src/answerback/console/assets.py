"""Style sheets, scripts and the icon: read once, served under an address that changes with their content."""

from functools import cache
from hashlib import sha256
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from answerback.console.links import PATH, Links

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_FOREVER = "public, max-age=31536000, immutable"
_MARK_LENGTH = 12


def asset_url(links: Links, name: str) -> str:
    """The address of a static file."""
    return f"{links.console}/static/{name}?{_marks()[name]}"


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    content = _contents().get(name)
    if content is None:
        return Response("no such file", 404, media_type="text/plain")
    return Response(content, 200, {"Cache-Control": _FOREVER}, _TYPES[Path(name).suffix])


ROUTE = Route(f"{PATH}/static/{{name}}", _asset, methods=["GET"])


@cache
def _contents() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _STATIC.iterdir() if path.suffix in _TYPES}


@cache
def _marks() -> dict[str, str]:
    return {name: sha256(content).hexdigest()[:_MARK_LENGTH] for name, content in _contents().items()}
