"""Files of calls, callbacks, deliveries and statistics: CSV, XLSX, NDJSON or Parquet, of any length, at constant memory.

A server gives them away as they are written, from a process of their own:

    export = Export.of(What.CALLS, FileFormat.CSV, {"channel": "alerts", "since": since}, full_numbers=False)
    stream = await exports.open(export, Actor.of(key))   # `exports` is the gateway's one `process.ExportManager`
    try:
        async for chunk in stream:                       # an error here: what was sent is not whole, hang up
            await send(chunk)
    finally:
        await stream.aclose()

`ExportResponse` is this as an answer of Starlette's; `export.file_name` and `export.format.media_type` are its headers.
A command goes through `write.iter_export(ledger, export)` itself.
"""

from answerback.domain.exports import Dataset, FileFormat
from answerback.exports.spec import Export

__all__ = ["Dataset", "Export", "FileFormat"]
