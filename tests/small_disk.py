"""A real file system of sixteen megabytes, which a test may fill. It needs the rights of root: tests say so where they are skipped."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import pytest

DISK_BYTES = 16 * 1024 * 1024


def needs_root(what: str) -> None:
    """Skip, loudly, what only root may do."""
    if os.geteuid() != 0:
        pytest.skip(f"SKIPPED FAULT: only root may {what}")


def fails(*arguments: str | Path) -> int:
    """Run a command without its output; return its exit code."""
    return subprocess.run(arguments, capture_output=True, check=False).returncode


@pytest.fixture(params=[pytest.param(1024, marks=pytest.mark.soak), 4096], ids="blocks of {}".format)
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A real file system of sixteen megabytes: ext4 in a file, or tmpfs where that cannot be mounted.

    With blocks smaller than a page of memory, a mapped file that was just made has holes: to touch one while the
    disk is full is SIGBUS.
    """
    with _mounted(tmp_path / "disk", request.param) as place:
        yield place


class Disks(NamedTuple):
    """Two file systems."""

    first: Path
    second: Path


@pytest.fixture(
    params=[pytest.param((1024, 4096), marks=pytest.mark.soak), (4096, 1024)], ids="blocks of {0[0]} and {0[1]}".format
)
def small_disks(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Disks]:
    """Two of them, of different blocks."""
    first, second = request.param
    with _mounted(tmp_path / "first", first) as one, _mounted(tmp_path / "second", second) as other:
        yield Disks(one, other)


@contextmanager
def _mounted(place: Path, block_bytes: int) -> Iterator[Path]:
    needs_root("mount a small file system")
    image = place.with_suffix(".img")
    place.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    if not _mount_image(image, place, block_bytes) and fails(
        "mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", place
    ):
        pytest.skip("SKIPPED FAULT: a small file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def _mount_image(image: Path, place: Path, block_bytes: int) -> bool:
    if shutil.which("mkfs.ext4") is None or fails("mkfs.ext4", "-q", "-b", str(block_bytes), "-m", "0", image):
        return False
    return not fails("mount", "-o", "loop", image, place)


def fill(place: Path) -> Path:
    """Take every free byte of the file system; return the file that holds them."""
    filler = place / "filler"
    with filler.open("ab", buffering=0) as file:
        for size_bytes in (65_536, 4096, 512, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size_bytes))
    return filler
