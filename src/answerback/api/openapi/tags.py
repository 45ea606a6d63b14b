"""The document's description and the tags of the routes."""

DESCRIPTION = """\
Answerback takes the callbacks of Tencent Cloud voice messages, answers each only once it is safe on disk, folds all
callbacks of a call into one record, and delivers events to your systems.

Everything below `/v1` needs an API key: `Authorization: Bearer ab_…`. Times are ISO 8601; in responses they are UTC.
Phone numbers are masked unless the key has the right to see them in full.

Lists are pages: `{items, next_cursor}`. Send `next_cursor` back as `cursor` for the next one; null means that this is
the last.

Callbacks are answered first and recorded a moment later. A request waits a quarter of a second (`api.read_wait_ms`) for what was answered
before it; where that was not enough, the header `Answerback-Recorder-Lag` says by how many seconds it is behind.

An error is always a `Problem`: `detail` says what is wrong, and `field` where. The callback URL, and POST /v1/callbacks with a
single callback, respond by the vendor's contract instead: `{result, errmsg}`. A method that is not allowed is answered 405,
with `Allow`; a body that is too large 413; an internal error 500.
"""

TAGS = [
    {
        "name": "callback URL",
        "description": "The URL that the cloud POSTs callbacks to. It needs no key: its token is its secret.",
    },
    {"name": "calls", "description": "Calls and their outcomes, their callbacks and annotations."},
    {"name": "callbacks", "description": "Submit callbacks that did not come to the callback URL."},
    {
        "name": "quarantine",
        "description": "Request bodies that could not be parsed: kept, to be parsed again after a fix.",
    },
    {"name": "statistics", "description": "Statistics of calls: outcomes, durations, failures, fees."},
    {"name": "exports", "description": "Files of calls, callbacks, deliveries or statistics, of any size."},
    {"name": "endpoints", "description": "Endpoints: the webhook URLs that a channel's events are delivered to."},
    {"name": "deliveries", "description": "Deliveries of events to endpoints, and replays."},
    {"name": "webhooks", "description": "The webhooks that an endpoint with the format `standard` receives."},
    {"name": "alerts", "description": "Alert rules of the config file and their state."},
    {"name": "access", "description": "API keys and the audit log."},
    {"name": "processes", "description": "The gateway's processes and their roles."},
    {"name": "health", "description": "The gateway's own health. Needs no key."},
]
"""All tags, in the document's order."""
