"""The commands by name, readable without what any of them imports."""

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """`function`, a function or a group, is under `answerback.cli` and needs `extra`; a list shows the first paragraph of `help`."""

    function: str
    extra: str
    help: str


COMMANDS = {
    "demo": CommandEntry(
        "demo.demo",
        "server",
        (
            "Show the gateway at work, with a month of history, live calls, an endpoint that fails and an alert that fires."
            "\n\nIt needs no set-up, uses a temporary directory alone, and removes everything at the end."
        ),
    ),
    "serve": CommandEntry(
        "serve.serve",
        "server",
        "Receive callbacks until Ctrl-C or SIGTERM, and answer OK only once each is safe on disk.",
    ),
    "console": CommandEntry(
        "console.console",
        "server",
        "Print a link that signs in to the console of a running gateway, once and within ten minutes, and open it in the browser.",
    ),
    "emulate": CommandEntry(
        "emulate.emulate",
        "emulator",
        "Emulate Tencent Cloud's voice service: accept API 2.0 and 3.0 requests, play out the calls and send callbacks.",
    ),
    "snippet": CommandEntry(
        "snippet.snippet",
        "emulator",
        "Print programs that place calls through `answerback emulate` with the vendor's SDKs, ready to paste.",
    ),
    "send": CommandEntry(
        "send.send",
        "emulator",
        "POST callbacks to URL as the cloud would and show the responses; exit status 0 if all were accepted.",
    ),
    "load": CommandEntry(
        "load.load",
        "emulator",
        (
            "Load-test URL: send callbacks at a fixed rate and measure latency; exit status 0 if all were accepted."
            "\n\nLatency counts from the moment a callback is due to be sent, so waiting for a connection is part of it."
        ),
    ),
    "conform": CommandEntry(
        "conform.conform",
        "emulator",
        "Check a callback receiver against the vendor's contract, rule by rule; exit status 0 if no rule is broken.",
    ),
    "tail": CommandEntry(
        "tail.tail",
        "server",
        "Follow callbacks and delivery attempts as they happen, until Ctrl-C. Phone numbers are masked.",
    ),
    "listen": CommandEntry(
        "listen.listen",
        "server",
        (
            "Forward a gateway's callbacks, as they come in, to a URL on this machine, and show what it answers; until Ctrl-C."
            "\n\nWithout --forward-to they are only shown. A callback that the URL does not accept is shown as failed, and not sent again."
        ),
    ),
    "stats": CommandEntry(
        "stats.stats",
        "server",
        "Show call statistics for a range of days: outcomes, durations, billed minutes, failures.",
    ),
    "status": CommandEntry(
        "status.status",
        "server",
        "Show the gateway's processes, which of them delivers to each endpoint, and the backlog.",
    ),
    "export": CommandEntry(
        "export.export",
        "server",
        "Write calls, callbacks, deliveries or statistics to a file, oldest first. Phone numbers are masked.",
    ),
    "import": CommandEntry(
        "import_.import_",
        "server",
        "Record old callbacks from files or access logs. Duplicates are ignored, so it can be run again; nothing is delivered.",
    ),
    "inbox": CommandEntry(
        "inbox.app",
        "server",
        "Inboxes: callbacks that were answered and wait to be recorded.",
    ),
    "backup": CommandEntry(
        "backup.backup",
        "server",
        (
            "Copy inbox, ledger, admin key and server secret into a directory while the gateway runs, and verify the copy."
            "\n\nA ledger in PostgreSQL is backed up with its own tools, after this."
        ),
    ),
    "restore": CommandEntry(
        "backup.restore",
        "server",
        "Verify a backup, and put it back into an empty data directory.",
    ),
    "copy": CommandEntry(
        "copy.copy",
        "server",
        (
            "Copy a ledger between SQLite and PostgreSQL, even while a gateway is running; run it again to catch up."
            "\n\nRun it once more after stopping the old gateway: a gateway serves the copy only once both are equal."
        ),
    ),
    "migrate": CommandEntry(
        "admin.migrate",
        "server",
        "Upgrade the ledger's schema to this version of the program.",
    ),
    "doctor": CommandEntry(
        "doctor.doctor",
        "server",
        "Check settings and environment for anything that would break the gateway's guarantees; exit status 1 on an error.",
    ),
    "prune": CommandEntry(
        "prune.prune",
        "server",
        "Delete data that is older than the settings `retention.*` allow; statistics stay.\n\nA gateway with the role relay does the same once a day.",
    ),
    "erase": CommandEntry(
        "erase.erase",
        "server",
        "Erase one person's number, in every spelling, from everything that is stored.\n\nCalls and callbacks stay, without the number. If a gateway is running, the gateway does the work.",
    ),
    "login": CommandEntry(
        "login.login",
        "server",
        (
            "Log in to a remote gateway with an API key: the other commands then work on it, with --profile."
            "\n\nURL and key are stored in a file that only you can read. The profile `default` is used wherever this machine has no gateway."
        ),
    ),
    "logout": CommandEntry(
        "login.logout",
        "server",
        "Forget a remote gateway and its key.",
    ),
    "profiles": CommandEntry(
        "login.profiles",
        "server",
        "List the remote gateways that `answerback login` has stored.",
    ),
    "channels": CommandEntry(
        "admin.channels_app",
        "server",
        "Channels: one for each voice application.",
    ),
    "config": CommandEntry(
        "admin.config_app",
        "server",
        "The gateway's settings.",
    ),
    "calls": CommandEntry(
        "calls.calls_app",
        "server",
        "Calls and their outcomes.",
    ),
    "callbacks": CommandEntry(
        "calls.callbacks_app",
        "server",
        "Callbacks as they were received.",
    ),
    "endpoints": CommandEntry(
        "endpoints.app",
        "server",
        "Endpoints: the webhook URLs that events are delivered to.",
    ),
    "deliveries": CommandEntry(
        "deliveries.app",
        "server",
        "Deliveries of events to endpoints, and replays.",
    ),
    "quarantine": CommandEntry(
        "quarantine.app",
        "server",
        "Request bodies that could not be parsed.",
    ),
    "alerts": CommandEntry(
        "alerts.app",
        "server",
        "Alert rules and notifications.",
    ),
    "keys": CommandEntry(
        "keys.app",
        "server",
        "API keys and their roles.",
    ),
}
