"""What a program gets with the receiver: msgspec, and nothing else that is not Python's own."""

import subprocess
import sys

PROGRAM = """
import sys
from answerback.receiver import Receiver
found = {name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names
print(*sorted(name for name in found if not name.startswith("_")))
print(*sorted(name.split(".")[1] for name in sys.modules if name.startswith("answerback.") and name.count(".") == 1))
"""


def test_it_imports_nothing_else() -> None:
    """Neither a framework nor anything of the gateway's: a web application has its own."""
    done = subprocess.run(
        [sys.executable, "-S", "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    libraries, ours = done.stdout.splitlines()
    assert set(libraries.split()) - {"typing_extensions"} == {"answerback", "msgspec"}  # msgspec takes it where it is
    assert set(ours.split()) <= {"domain", "errors", "receiver", "storage", "tencent"}
