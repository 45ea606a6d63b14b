"""What a disk may hold after a power cut: all that was synced, and of the rest any part, in any order, in pieces of a sector."""

import random
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest

SECTOR_BYTES = 512
_HEAD = struct.Struct("=4Q")


class Event(NamedTuple):
    """What was done to a file: Create, Directory, Write, Truncate, Sync, Unlink, or a letter of the test's own."""

    what: str
    path: str
    offset: int
    data: bytes

    def encode(self) -> bytes:
        """As recording.c writes it."""
        path = self.path.encode()
        return _HEAD.pack(ord(self.what), len(path), self.offset, len(self.data)) + path + self.data


def read_events(record: Path) -> Iterator[Event]:
    """All events, in order."""
    content, at = record.read_bytes(), 0
    while at < len(content):
        what, path_bytes, offset, data_bytes = _HEAD.unpack_from(content, at)
        at += _HEAD.size
        path, at = content[at : at + path_bytes].decode(), at + path_bytes
        yield Event(chr(what), path, offset, content[at : at + data_bytes])
        at += data_bytes


def record_events(home: Path, victim: Path) -> list[Event]:
    """What a real process does to its files in `/disk`, and what it says itself, in order. It is given that directory and the record."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("SKIPPED FAULT: no C compiler to make a library that records writes")
    library, record, disk = home / "recording.so", home / "record", home / "disk"
    source = Path(__file__).with_name("recording.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source, "-ldl", "-lpthread"], check=True)
    disk.mkdir()
    subprocess.run(
        [sys.executable, victim, disk, record],
        env={
            "PYTHONPATH": str(source.parents[1]),
            "LD_PRELOAD": str(library),
            "RECORDED": str(disk),
            "RECORD": str(record),
        },
        check=True,
    )
    return [event._replace(path=event.path.removeprefix(str(home))) for event in read_events(record)]


@dataclass
class _File:
    is_directory: bool = False
    synced: bytearray = field(default_factory=bytearray)
    pending: list[Event] = field(default_factory=list)


class Disk:
    """A disk that is told of every event, and can be left at any moment."""

    def __init__(self, top: Path) -> None:
        self._top = str(top)
        self._inodes: dict[str, _File] = {}
        self._durable_names: dict[str, _File] = {}
        self._pending_names: list[tuple[str, _File | None]] = []

    def take(self, event: Event) -> None:
        """An event has happened."""
        file = self._inodes.get(event.path)
        match event.what:
            case "C" | "D":
                self._inodes[event.path] = created = _File(is_directory=event.what == "D")
                self._pending_names.append((event.path, created))
            case "U" if file is not None:
                del self._inodes[event.path]
                self._pending_names.append((event.path, None))
            case "W" | "T" if file is not None:
                file.pending.append(event)
            case "S" if file is not None:
                for each in file.pending:
                    _apply(file.synced, each)
                file.pending.clear()
            case _:
                pass
        if event.what == "S":  # of a directory: the names in it
            self._sync_names(event.path)

    def leave(self, place: Path, chance: random.Random, share: float) -> None:
        """Write to `place` what is left if the power goes now, with about `share` of what was not synced."""
        names = dict(self._durable_names)
        for path, file in self._pending_names:
            if chance.random() < share:
                _name(names, path, file)
        for path, file in sorted(names.items()):  # a directory before what is in it, whichever was synced first
            target = place / Path(path).relative_to(self._top)
            if file.is_directory:
                target.mkdir()
            if file.is_directory or not target.parent.exists():
                continue
            content = bytearray(file.synced)
            pieces = [piece for event in file.pending for piece in _pieces(event) if chance.random() < share]
            if share < 1:
                chance.shuffle(pieces)
            for piece in pieces:
                _apply(content, piece)
            target.write_bytes(content)

    def _sync_names(self, directory: str) -> None:
        rest = []
        for path, file in self._pending_names:
            if str(Path(path).parent) == directory:
                _name(self._durable_names, path, file)
            else:
                rest.append((path, file))
        self._pending_names = rest


def _name(names: dict[str, _File], path: str, file: _File | None) -> None:
    if file is None:
        names.pop(path, None)
    else:
        names[path] = file


def _pieces(event: Event) -> Iterator[Event]:
    """A write in sectors; a truncation as a whole."""
    if event.what == "T":
        yield event
    at = 0
    while at < len(event.data):
        size = SECTOR_BYTES - (event.offset + at) % SECTOR_BYTES
        yield Event("W", event.path, event.offset + at, event.data[at : at + size])
        at += size


def _apply(content: bytearray, event: Event) -> None:
    if event.what == "T":
        del content[event.offset :]
        content.extend(bytes(event.offset - len(content)))
        return
    end = event.offset + len(event.data)
    content.extend(bytes(max(0, end - len(content))))
    content[event.offset : end] = event.data
