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
_CACHE_CONTROL = "public, max-age=31536000, immutable"
_FINGERPRINT_LENGTH = 12


def asset_url(links: Links, name: str) -> str:
    return f"{links.console}/static/{name}?{_fingerprints()[name]}"


async def _asset(request: Request) -> Response:
    name = request.path_params["name"]
    content = _read_assets().get(name)
    if content is None:
        return Response("no such file", 404, media_type="text/plain")
    return Response(content, 200, {"Cache-Control": _CACHE_CONTROL}, _TYPES[Path(name).suffix])


ROUTE = Route(f"{PATH}/static/{{name}}", _asset, methods=["GET"])


@cache
def _read_assets() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in _STATIC.iterdir() if path.suffix in _TYPES}


@cache
def _fingerprints() -> dict[str, str]:
    return {name: sha256(content).hexdigest()[:_FINGERPRINT_LENGTH] for name, content in _read_assets().items()}
