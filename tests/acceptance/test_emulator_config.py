"""The emulator configured by a file, as a process of its own."""

from pathlib import Path

from cloud import VoiceCloud, signed
from receivers.process import Receive

CONFIG = """
[applications.1400000001]
app_key = "5f03a35d00ee52a21327ab048186a2c4"
balance = 3

[shares]
108 = 1.0

[limits]
per_period = [[1, 30]]
per_night = 100
"""


def test_a_config_file_says_what_the_cloud_is(tmp_path: Path, receive: Receive) -> None:
    """The balance is used up, a number is called too often, and a number like any other goes by the shares."""
    file = tmp_path / "cloud.toml"
    file.write_text(CONFIG)
    with VoiceCloud(tmp_path, receive().url, instant=True, config=file) as cloud:
        callid = cloud.send("13800138555")
        assert cloud.post("sendvoiceprompt", signed("13800138555"))["result"] == 1013
        cloud.send("13800138000")
        cloud.send("13800138001")
        assert cloud.post("sendvoiceprompt", signed("13800138002"))["result"] == 1031
        cloud.await_finished()
        assert cloud.call(callid)["failure_code"] == 8
