"""`answerback.testing`, as somebody uses it whose program gets callbacks: what docs/testing.md shows runs, in both languages."""

import ast
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from gateway import OK

from answerback import parse
from answerback.domain.models import CallbackKind
from answerback.emulator.testing import VoiceCloud
from answerback.errors import ConfigError
from answerback.testing import answered, call_error, encode_callback, failure, key_press, unanswered

TOP = Path(__file__).parents[2]
PAGES = ("docs/testing.md", "docs/testing.zh-CN.md")

MY_ALERTS = """
import json, time, hashlib, urllib.request
from answerback.receiver import MemoryStore, Receiver

voice = Receiver(token="K3v9sYpW2mQx7LdR5tZa", store=MemoryStore(), threads=0)

def call(mobile, cloud):
    now = int(time.time())
    signed = f"appkey={cloud.app_key}&random=17&time={now}&mobile={mobile}"
    body = {"tel": {"nationcode": "86", "mobile": mobile}, "prompttype": 2, "promptfile": "disk full",
            "sig": hashlib.sha256(signed.encode()).hexdigest(), "time": now}
    url = f"{cloud.url}/v5/tlsvoicesvr/sendvoiceprompt?sdkappid={cloud.app_id}&random=17"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, json.dumps(body).encode()) as response:
        return json.load(response)["callid"]
"""
SETTINGS = """
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
ROOT_URLCONF = "urls"
SECRET_KEY = "x"
USE_TZ = True
"""
URLS = """
from my_alerts import voice

urlpatterns = [voice.django()]
"""


def blocks_of(page: str) -> list[str]:
    """The programs that it shows."""
    return re.findall(r"^```python\n(.*?)^```$", (TOP / page).read_text(), re.MULTILINE | re.DOTALL)


def test_both_languages_show_the_same_programs() -> None:
    """But for comments."""
    english, chinese = ([ast.dump(ast.parse(block)) for block in blocks_of(page)] for page in PAGES)
    assert english == chinese


@pytest.mark.parametrize("number", range(5))
def test_what_the_page_shows_runs(number: int, tmp_path: Path, bare_pytest: list[str | Path]) -> None:
    """Each block as a test module of its own, by pytest, by unittest and by Django's own runner."""
    blocks = blocks_of(PAGES[0])
    assert len(blocks) == 5
    for name, text in {"my_alerts": MY_ALERTS, "settings": SETTINGS, "urls": URLS, "test_mine": blocks[number]}.items():
        (tmp_path / f"{name}.py").write_text(text)
    command: list[str | Path] = [*bare_pytest, "test_mine.py"]
    if number == 0:
        command = [sys.executable, "test_mine.py"]
    elif "django" in blocks[number]:
        command = [sys.executable, "-m", "django", "test", "--pythonpath", "."]
    elif "unittest" in blocks[number]:
        command = [sys.executable, "-m", "unittest", "test_mine"]
    variables = os.environ | {"DJANGO_SETTINGS_MODULE": "settings", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, cwd=tmp_path, env=variables, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert number == 0 or "1 passed" in done.stdout or "Ran 1 test" in done.stderr


@pytest.mark.parametrize(
    "callback",
    [
        answered(),
        answered(kind="code", callid="c"),
        unanswered(mobile="13800138000"),
        call_error(fee_minutes=None),
        key_press("#", nationcode="852"),
        failure(),
        failure(14),
        failure(11, reason="其他"),
    ],
)
def test_a_callback_is_what_its_bytes_say(callback: object) -> None:
    """`parse` makes the same of them."""
    assert parse(encode_callback(callback)) == callback  # type: ignore[arg-type]


def test_what_is_not_said_is_ordinary() -> None:
    """The words of a code are the vendor's, and a kind may be given by its name."""
    assert (failure(8).reason, failure(14).reason, failure().code) == ("空号", "", 8)
    assert answered(kind="code").kind is CallbackKind.CODE
    with pytest.raises(TypeError, match="nonsense"):
        answered(nonsense=1)


class Client:
    """The least that a test client is: it notes in which thread it was used."""

    def __init__(self) -> None:
        self.posts: list[tuple[str, bytes, int]] = []

    def post(self, path: str, *, data: bytes, content_type: str) -> object:
        """Answer OK."""
        assert content_type == "application/json"
        self.posts.append((path, data, threading.get_ident()))

        class Response:
            status_code = 200
            data = OK

        return Response()


def test_a_client_is_used_in_the_thread_of_the_test(voice_cloud: VoiceCloud) -> None:
    """But for a callback that overtakes the answer to the send, while the test waits for that."""
    namespace: dict[str, object] = {}
    exec(MY_ALERTS, namespace)
    client, path, call = Client(), "/voice/callback", namespace["call"]
    voice_cloud.deliver_to(client, path)
    assert callable(call)
    callids = [call(f"13800138{ending}", voice_cloud) for ending in ("000", "011")]
    (early,) = client.posts
    assert early[2] != threading.get_ident()
    voice_cloud.finish()
    (posted,) = client.posts[1:]
    assert (posted[0], parse(posted[1]).callid, posted[2]) == (path, callids[0], threading.get_ident())


def test_a_client_that_raises_is_a_receiver_that_fails(voice_cloud: VoiceCloud) -> None:
    """The callback comes again, as from anybody; the test goes on."""

    class Failing(Client):
        def post(self, path: str, *, data: bytes, content_type: str) -> object:
            super().post(path, data=data, content_type=content_type)
            raise ValueError(path)

    namespace: dict[str, object] = {}
    exec(MY_ALERTS, namespace)
    client, call = Failing(), namespace["call"]
    voice_cloud.deliver_to(client, "/voice")
    assert callable(call)
    call("13800138000", voice_cloud)
    (view,) = voice_cloud.finish()
    assert [post.error for post in view.callbacks] == ["raised ValueError: /voice"] * 3


def test_a_client_needs_the_path_of_the_callback_url(voice_cloud: VoiceCloud) -> None:
    """The error says so."""
    with pytest.raises(ConfigError, match=r"^path: expected that of the callback URL, such as /voice/callback/TOKEN"):
        voice_cloud.deliver_to(Client())


def test_an_async_client_is_refused_with_what_to_do(voice_cloud: VoiceCloud) -> None:
    """Before it is called: it would answer with a coroutine."""
    with pytest.raises(ConfigError, match=r"^receiver: an async client cannot .* pass an async function"):
        voice_cloud.deliver_to(httpx.AsyncClient(), "/voice/callback")


def test_the_cloud_says_which_extra_it_needs() -> None:
    """The builders need none."""
    program = (
        "import sys; sys.modules['uvicorn'] = None; import answerback.testing as t; t.answered()\n"
        "try: t.VoiceCloud\nexcept t.MissingExtra as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == ('answerback.testing.VoiceCloud needs uvicorn: pip install "answerback[emulator]"\n')
