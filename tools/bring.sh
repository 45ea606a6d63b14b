#!/bin/sh
# Bring what the tests run and no wheel has, from Debian: only what is missing.
# Root installs it. Servers are not installed, because that would start them: their programs are unpacked into $1.
set -eu
unpacked=$1
installed="chromium-headless-shell fonts-noto-cjk libatomic1 gcc libc6-dev iproute2 e2fsprogs mount systemd"
quiet="-qq -o Dpkg::Use-Pty=0 -o APT::Get::Assume-Yes=true -o APT::Sandbox::User=root"

if ! command -v apt-get >/dev/null; then
    echo "NOT DEBIAN: what these packages hold is not installed here, and what needs it is skipped: $installed nginx prometheus" >&2
    exit 0
fi

missing=
for package in $installed; do
    case $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) in
        installed) ;;
        *) missing="$missing $package" ;;
    esac
done

# Of these any will do, wherever it is from.
command -v curl >/dev/null || missing="$missing curl"
command -v javac >/dev/null || missing="$missing default-jdk-headless"

# Package lists of our own, if the machine has none: an ordinary user may read a mirror, too.
lists=
if ! apt-cache show nginx >/dev/null 2>&1; then
    if [ "$(id -u)" = 0 ]; then
        apt-get $quiet update
    else
        mkdir -p "$unpacked/apt/lists/partial" "$unpacked/apt/cache/archives/partial"
        lists="-o Dir::State::Lists=$unpacked/apt/lists -o Dir::Cache=$unpacked/apt/cache"
        apt-get $quiet $lists update
    fi
fi

if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    echo "From Debian:$missing"
    # A machine that was set up long ago knows packages that its mirror no longer has: ask it anew.
    DEBIAN_FRONTEND=noninteractive apt-get $quiet install --no-install-recommends $missing >/dev/null 2>&1 || {
        apt-get $quiet update
        DEBIAN_FRONTEND=noninteractive apt-get $quiet install --no-install-recommends $missing >/dev/null
    }
elif [ -n "$missing" ]; then
    {
        echo "MISSING, and only root may install it; what needs it is skipped:$missing"
        echo "Ask for: apt-get install --no-install-recommends$missing"
    } >&2
fi

unpack() { # package program
    if ! PATH=$PATH:/usr/sbin command -v "$2" >/dev/null && [ -z "$(find "$unpacked" -name "$2" -type f 2>/dev/null)" ]; then
        mkdir -p "$unpacked"
        (cd "$unpacked" && apt-get $quiet $lists download "$1" && dpkg-deb -x "$1"_*.deb . && rm "$1"_*.deb)
    fi
}
unpack nginx nginx
unpack prometheus promtool
