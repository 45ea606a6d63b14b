"""An export as an answer of HTTP."""

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from answerback.exports.process import ExportProcess
from answerback.exports.spec import Export


class ExportResponse(StreamingResponse):
    """Sends a stream as a file to keep; whatever happens, its process ends with the answer.

    If the export breaks off, so does the connection: nobody takes what was sent for the whole.
    """

    def __init__(self, export: Export, stream: ExportProcess) -> None:
        headers = {
            "Content-Disposition": f'attachment; filename="{export.file_name}"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        super().__init__(stream, headers=headers, media_type=export.format.media_type)
        self._stream = stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stream.aclose()
