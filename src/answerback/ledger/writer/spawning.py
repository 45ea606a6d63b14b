"""Starting the ledger's writer. It imports next to nothing, so that the writer loads while whoever starts it does."""

import socket
import subprocess
import sys
from typing import NamedTuple


class WriterHandle(NamedTuple):
    """A writer's process that waits at the other end of `socket`; it ends when that is closed."""

    process: "subprocess.Popen[bytes]"
    socket: socket.socket


def spawn_writer() -> WriterHandle:
    """Start a writer that does not know yet which ledger it is to write."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)  # noqa: FBT003  # the socket module takes it by place
    with theirs:
        command = [sys.executable, "-m", "answerback.ledger.writer.process", str(theirs.fileno())]
        process = subprocess.Popen(  # noqa: S603  # our own module
            command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
        )
    return WriterHandle(process, ours)
