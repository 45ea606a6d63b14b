"""Bring the load generator: wrk, from Debian."""

import shutil
import subprocess
import sys


def main() -> None:
    """Install wrk where it is missing."""
    if shutil.which("wrk"):
        return
    print("wrk is missing: installing it from Debian", file=sys.stderr)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    subprocess.run(["apt-get", "install", "-y", "-qq", "wrk"], check=True)


if __name__ == "__main__":
    main()
