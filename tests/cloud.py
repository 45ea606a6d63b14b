"""The real emulator in a process of its own, and what a test needs to send by it and to ask it."""

import json
import re
import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
from forking import Forked, launch
from gateway import START_TIMEOUT_S, STOP_TIMEOUT_S, environment

from answerback.emulator.api2 import signature
from answerback.emulator.settings import DEFAULT_CREDENTIALS


class VoiceCloud:
    """`answerback emulate` on a free port; as a context manager it is started, and stopped at the end.

    `options` are those of the command: `seed=7` becomes `--seed 7`, `instant=True` becomes `--instant`. What it prints
    is for people where not `as_json`. `authority` signed the certificate that it is given, where it is given one.
    """

    def __init__(
        self, home: Path, callback_url: str, *, as_json: bool = True, authority: Path | None = None, **options: object
    ) -> None:
        self.url = ""
        self.reported: dict[str, Any] = {}
        self._home = home
        self._as_json = as_json
        self._authority = authority
        self._arguments = ["emulate", "--port", "0", "--callback-url", callback_url]
        self._arguments += ["--json"] if as_json else []
        for name, value in options.items():
            flag = f"--{name.replace('_', '-')}"
            self._arguments += [flag] if value is True else [flag, str(value)]
        self._process: Forked | None = None
        self._client: httpx.Client | None = None

    def __enter__(self) -> Self:
        with self._log("out").open("wb") as out, self._log("err").open("wb") as err:
            self._process = launch(self._arguments, cwd=self._home, env=environment(), stdout=out, stderr=err)
        self.reported = self._await_reported()
        self.url = self.reported["url"]
        authority = self._authority or self.reported.get("authority")
        trusted = ssl.create_default_context(cafile=authority) if authority else False
        self._client = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False, verify=trusted)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.client.close()
        self.terminate()
        if error is None:
            assert [line for line in self.stderr.splitlines() if "[info     ] " not in line] == []

    def _await_reported(self) -> dict[str, Any]:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline_s and self.process.poll() is None:
            text = self.stdout
            if self._as_json and text.endswith("}\n"):
                reported: dict[str, Any] = json.loads(text)
                return reported
            if not self._as_json and (printed := re.match(r"Listening +(\S+)\n(?s:.*)--numbers\n", text)):
                trusted = re.search(r'certification="(.+?)"', text)
                return {"url": printed[1]} | ({"authority": trusted[1]} if trusted else {})
            time.sleep(0.01)
        self.process.kill()
        raise AssertionError(f"emulate printed no URL: status {self.process.wait()}: {self.stderr}")

    @property
    def process(self) -> Forked:
        """The running process."""
        assert self._process is not None, "not started"
        return self._process

    @property
    def client(self) -> httpx.Client:
        """A client whose paths start at the emulator's URL."""
        assert self._client is not None, "not started"
        return self._client

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return self._log("out").read_text()

    @property
    def stderr(self) -> str:
        """What it has written to standard error so far."""
        return self._log("err").read_text()

    def _log(self, name: str) -> Path:
        return self._home / f"cloud.{name}"

    def terminate(self) -> int:
        """Ask the process to stop; return its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT_S)
        finally:
            self.process.kill()

    # Sending.

    def post(self, operation: str, fields: Mapping[str, object], random: str = "7226249334") -> dict[str, Any]:
        """API 2.0's answer to `fields`, which are sent as they are."""
        answer = self.client.post(
            f"/v5/tlsvoicesvr/{operation}",
            params={"sdkappid": DEFAULT_CREDENTIALS["app_id"], "random": random},
            json=fields,
        )
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said

    def send(self, mobile: str, **fields: object) -> str:
        """Have a number called by API 2.0: the callid."""
        said = self.post("sendvoiceprompt", signed(mobile) | fields)
        assert said["result"] == 0, said
        callid: str = said["callid"]
        return callid

    # Asking.

    def calls(self) -> list[dict[str, Any]]:
        """All calls, the newest first."""
        items: list[dict[str, Any]] = self._get("/api/calls")["items"]
        return items

    def call(self, callid: str) -> dict[str, Any]:
        """What happened to a call, and which callbacks were sent about it."""
        return self._get(f"/api/calls/{callid}")

    def await_finished(self, timeout_s: float = 60.0) -> None:
        """Wait until every call has come to its end, and every callback to its."""
        deadline_s = time.monotonic() + timeout_s
        while living := self._get("/api/calls")["active"]:
            assert time.monotonic() < deadline_s, f"{living} calls live still"
            time.sleep(0.05)

    def _get(self, path: str) -> dict[str, Any]:
        answer = self.client.get(path)
        assert answer.status_code == 200, answer.text
        said: dict[str, Any] = answer.json()
        return said


def signed(mobile: str, random: str = "7226249334") -> dict[str, object]:
    """The fields of a notification by API 2.0."""
    now_s = int(time.time())
    return {
        "tel": {"nationcode": "86", "mobile": mobile},
        "prompttype": 2,
        "promptfile": "disk full",
        "playtimes": 2,
        "sig": signature(DEFAULT_CREDENTIALS["app_key"], random, str(now_s), mobile),
        "time": now_s,
        "ext": "",
    }
