"""The commands by name, readable without what any of them imports."""

from typing import NamedTuple


class CommandEntry(NamedTuple):
    """`function`, a function or a group, is under `answerback.cli` and needs `extra`; a list shows the first paragraph of `help`."""

    function: str
    help: str
    extra: str = "server"


COMMANDS = {
    "demo": CommandEntry(
        "demo.demo",
        (
            "Show the gateway at work, with a month of history, live calls, an endpoint that fails and an alert that fires."
            "\n\nIt needs no set-up, uses a temporary directory alone, and removes everything at the end."
        ),
    ),
    "serve": CommandEntry(
        "serve.serve", "Receive callbacks until Ctrl-C or SIGTERM, and answer OK only once each is safe on disk."
    ),
    "console": CommandEntry(
        "console.console",
        "Print a link that signs in to the console of a running gateway, once and within ten minutes, and open it in the browser.",
    ),
    "emulate": CommandEntry(
        "emulate.emulate",
        "Emulate Tencent Cloud's voice service: accept API 2.0 and 3.0 requests, play out the calls and send callbacks.",
        extra="emulator",
    ),
    "snippet": CommandEntry(
        "snippet.snippet",
        "Print programs that place calls through `answerback emulate` with the vendor's SDKs, ready to paste.",
        extra="emulator",
    ),
    "send": CommandEntry(
        "send.send",
        "POST callbacks to URL as the cloud would and show the responses; exit status 0 if all were accepted.",
        extra="emulator",
    ),
    "load": CommandEntry(
        "load.load",
        (
            "Load-test URL: send callbacks at a fixed rate and measure latency; exit status 0 if all were accepted."
            "\n\nLatency counts from the moment a callback is due to be sent, so waiting for a connection is part of it."
        ),
        extra="emulator",
    ),
    "conform": CommandEntry(
        "conform.conform",
        "Check a callback receiver against the vendor's contract, rule by rule; exit status 0 if no rule is broken.",
        extra="emulator",
    ),
    "tail": CommandEntry(
        "tail.tail", "Follow callbacks and delivery attempts as they happen, until Ctrl-C. Phone numbers are masked."
    ),
    "listen": CommandEntry(
        "listen.listen",
        (
            "Forward a gateway's callbacks, as they come in, to a URL on this machine, and show what it answers; until Ctrl-C."
            "\n\nWithout --forward-to they are only shown. A callback that the URL does not accept is shown as failed, and not sent again."
        ),
    ),
    "stats": CommandEntry(
        "stats.stats", "Show call statistics for a range of days: outcomes, durations, billed minutes, failures."
    ),
    "status": CommandEntry(
        "status.status", "Show the gateway's processes, which of them delivers to each endpoint, and the backlog."
    ),
    "export": CommandEntry(
        "export.export",
        "Write calls, callbacks, deliveries or statistics to a file, oldest first. Phone numbers are masked.",
    ),
    "import": CommandEntry(
        "import_.import_",
        "Record old callbacks from files or access logs. Duplicates are ignored, so it can be run again; nothing is delivered.",
    ),
    "inbox": CommandEntry("inbox.app", "Inboxes: callbacks that were answered and wait to be recorded."),
    "backup": CommandEntry(
        "backup.backup",
        (
            "Copy inbox, ledger, admin key and server secret into a directory while the gateway runs, and verify the copy."
            "\n\nA ledger in PostgreSQL is backed up with its own tools, after this."
        ),
    ),
    "restore": CommandEntry("backup.restore", "Verify a backup, and put it back into an empty data directory."),
    "copy": CommandEntry(
        "copy.copy",
        (
            "Copy a ledger between SQLite and PostgreSQL, even while a gateway is running; run it again to catch up."
            "\n\nRun it once more after stopping the old gateway: a gateway serves the copy only once both are equal."
        ),
    ),
    "migrate": CommandEntry("admin.migrate", "Upgrade the ledger's schema to this version of the program."),
    "doctor": CommandEntry(
        "doctor.doctor",
        "Check settings and environment for anything that would break the gateway's guarantees; exit status 1 on an error.",
    ),
    "prune": CommandEntry(
        "prune.prune",
        "Delete data that is older than the settings `retention.*` allow; statistics stay.\n\nA gateway with the role relay does the same once a day.",
    ),
    "erase": CommandEntry(
        "erase.erase",
        "Erase one person's number, in every spelling, from everything that is stored.\n\nCalls and callbacks stay, without the number. If a gateway is running, the gateway does the work.",
    ),
    "login": CommandEntry(
        "login.login",
        (
            "Log in to a remote gateway with an API key: the other commands then work on it, with --profile."
            "\n\nURL and key are stored in a file that only you can read. The profile `default` is used wherever this machine has no gateway."
        ),
    ),
    "logout": CommandEntry("login.logout", "Forget a remote gateway and its key."),
    "profiles": CommandEntry("login.profiles", "List the remote gateways that `answerback login` has stored."),
    "channels": CommandEntry("admin.channels_app", "Channels: one for each voice application."),
    "config": CommandEntry("admin.config_app", "The gateway's settings."),
    "calls": CommandEntry("calls.calls_app", "Calls and their outcomes."),
    "callbacks": CommandEntry("calls.callbacks_app", "Callbacks as they were received."),
    "endpoints": CommandEntry("endpoints.app", "Endpoints: the webhook URLs that events are delivered to."),
    "deliveries": CommandEntry("deliveries.app", "Deliveries of events to endpoints, and replays."),
    "quarantine": CommandEntry("quarantine.app", "Request bodies that could not be parsed."),
    "alerts": CommandEntry("alerts.app", "Alert rules and notifications."),
    "keys": CommandEntry("keys.app", "API keys and their roles."),
}
