"""The doctor's checks of the inbox: where it is, how much waits in it, and whether there is room for more."""

import shutil
from contextlib import closing

from answerback.config import ServerRole, Settings
from answerback.errors import AnswerbackError
from answerback.inbox import INBOX_FILE, InboxLag, InboxReader
from answerback.ledger.commands import LogPositions
from answerback.ledger.types import from_us
from answerback.service.check_result import Finding, describe_error, format_bytes, ok, problem, warning
from answerback.service.factories import inbox_config
from answerback.service.ledger_config import open_for_reading
from answerback.storage.disk import nearest_existing_parent

_NEARLY_FULL, _HALF_FULL = 0.9, 0.5
LATE_S = 60.0


def has_inbox(settings: Settings) -> bool:
    """Whether a gateway with these settings answers from an inbox."""
    return settings.stream.url is None and ServerRole.INTAKE in settings.server.roles


def check_waiting(settings: Settings) -> Finding:
    """What is in the inbox and not in the ledger, and for how long."""
    path = inbox_config(settings).directory / INBOX_FILE
    if not path.exists():
        none = "none yet: the first start creates it" if has_inbox(settings) else "none: these roles need none"
        return ok(none)
    try:
        with closing(InboxReader(path)) as reader:
            waiting, ended, is_certain = _count_waiting(settings, reader)
            failure = reader.failure() if waiting.rows else None
    except AnswerbackError as error:
        remedy = "callbacks are answered 503 until this is fixed"
        return problem(describe_error(error), remedy)
    finding = (
        f"{'' if is_certain else 'up to '}{waiting.callbacks:,} callbacks are not in the ledger yet, "
        f"{format_bytes(waiting.bytes)} of {format_bytes(settings.inbox.max_bytes)}"
    )
    if waiting.rows and is_certain:
        finding += f", the oldest for {waiting.age_s:,.0f} s"
    if ended:
        finding += f"; {ended:,} of them are of gateways that have ended"
    if failure is not None:
        finding += (
            f"; the recorder cannot write: {failure.reason}, since {from_us(failure.since_us):%Y-%m-%d %H:%M:%S} (UTC)"
        )
    if waiting.bytes > _NEARLY_FULL * settings.inbox.max_bytes:
        return problem(finding, f"callbacks are soon answered 503: {_remedy(settings)}")
    is_late = is_certain and waiting.rows and (waiting.age_s > LATE_S or not has_inbox(settings))
    if is_late or failure is not None or waiting.bytes > _HALF_FULL * settings.inbox.max_bytes:
        return warning(finding, _remedy(settings))
    return ok(finding)


def _count_waiting(settings: Settings, reader: InboxReader) -> tuple[InboxLag, int, bool]:
    """What waits, how many callbacks of it gateways have left that ended, and whether the ledger could be asked."""
    logs = [generation.id for generation in reader.generations()]
    positions: dict[bytes, int] = {}
    is_certain = False
    try:
        with open_for_reading(settings) as ledger:
            positions = LogPositions(logs).run(ledger)
        is_certain = True
    except AnswerbackError:  # the check of the ledger says why
        pass
    waiting = reader.waiting(positions)
    if not is_certain or not logs:
        return waiting, 0, is_certain
    present = reader.waiting(positions | dict.fromkeys(logs[:-1], _ALL)).callbacks
    return waiting, waiting.callbacks - present, True


_ALL = 2**63 - 1


def _count_left_behind(settings: Settings) -> int:
    """How many callbacks wait where the inbox was before `inbox.dir` was set; 0 where that is not known."""
    path = settings.server.data_dir / INBOX_FILE
    if (
        settings.inbox.dir is None
        or not path.exists()
        or inbox_config(settings).directory.resolve() == path.parent.resolve()
    ):
        return 0
    try:
        with closing(InboxReader(path)) as reader:
            waiting, _, is_certain = _count_waiting(settings, reader)
    except AnswerbackError:
        return 0
    return waiting.callbacks if is_certain else 0


def _remedy(settings: Settings) -> str:
    if not has_inbox(settings):
        return (
            f"no gateway with these settings records them: answerback inbox record {inbox_config(settings).directory}"
        )
    return (
        "answerback status and the log say why the recorder is stalled; if no gateway is running, start one here, "
        "or run answerback inbox record"
    )


def check_room(settings: Settings) -> Finding:
    """Whether the disk has room for what the inbox may hold."""
    if not has_inbox(settings):
        return ok("none is needed")
    config = inbox_config(settings)
    path = config.directory / INBOX_FILE
    directory = nearest_existing_parent(config.directory)
    free_bytes = shutil.disk_usage(directory).free
    own_bytes = path.stat().st_size if path.exists() else 0
    finding = f"{format_bytes(free_bytes)} free on {directory}, {format_bytes(config.reserve_bytes)} of that is kept for the ledger"
    if free_bytes <= config.reserve_bytes:
        remedy = "every callback is answered 503: free some space, or lower inbox.reserve_bytes"
        return problem(finding, remedy)
    if free_bytes + own_bytes < config.max_bytes + config.reserve_bytes:
        size = format_bytes(config.max_bytes)
        remedy = f"the disk is full before the inbox has inbox.max_bytes ({size}): free some space, or lower it"
        return warning(finding, remedy)
    return ok(f"{finding}; inbox.max_bytes is {format_bytes(config.max_bytes)}")


def check_place(settings: Settings) -> Finding:
    """Whether losing this machine loses what is not in the ledger yet, and whether the settings contradict each other."""
    given = sorted(settings.inbox.model_fields_set)
    if given and not has_inbox(settings):
        finding = f"inbox.{', inbox.'.join(given)}: has no effect, because there is no inbox"
        remedy = "remove it, or stream.url, or give this process the role intake"
        return warning(finding, remedy)
    if not has_inbox(settings):
        return ok("there is no inbox")
    directory = inbox_config(settings).directory
    if left := _count_left_behind(settings):
        finding = f"{left:,} callbacks wait in the inbox in {settings.server.data_dir}, which is not inbox.dir"
        remedy = f"unless another gateway uses it: answerback inbox record {settings.server.data_dir}"
        return warning(finding, remedy)
    if settings.ledger.url is not None and settings.inbox.dir is None:
        finding = (
            f"the ledger is in PostgreSQL, the inbox in {directory} on this machine: "
            "if its disk is lost, so are callbacks that were answered but not recorded yet"
        )
        remedy = "set inbox.dir to a directory on a persistent volume, or put JetStream in front (stream.url)"
        return warning(finding, remedy)
    if settings.inbox.reserve_bytes == 0 and settings.ledger.url is None:
        finding = "inbox.reserve_bytes is 0: an inbox that grows leaves the ledger no space to record from it"
        return warning(finding, "leave it at its default")
    return ok(f"the inbox is in {directory}")
