#!/bin/bash
# Build a bare Debian and run both commands of the README in it, as root and as somebody who may install nothing.
#
#   tools/fresh.sh [root] [somebody]
#   SUITE=trixie    another Debian, and with it another Python
#   ARGS=tests/unit what `make test` is to run, instead of everything
#   PLACE=/var/tmp/answerback-fresh  where the machines are; an unpacked Debian is kept there for the next time
#   KEEP=1          leave the machines as the run left them
#
# It has nothing but python3, python3-venv, git, make, curl and certificates, and homes of mode 0700. How to reach a Debian
# mirror, PyPI and npm it takes from this machine: apt's and pip's configuration, certificates, and variables.
set -euo pipefail
SUITE=${SUITE:-bookworm}
PLACE=${PLACE:-/var/tmp/answerback-fresh}
ARGS=${ARGS:-}
top=$(git -C "$(dirname "$0")" rev-parse --show-toplevel)
base=$PLACE/$SUITE

[ "$(id -u)" = 0 ] || { echo "make fresh needs root: it builds a machine in a directory" >&2; exit 1; }

build() {
    command -v debootstrap >/dev/null || { apt-get update -qq; apt-get install -y -qq debootstrap >/dev/null; }
    local mirror script=/usr/share/debootstrap/scripts/$SUITE
    [ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid # a Debian that is newer than debootstrap
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | head -n 1)
    rm -rf "$base.unfinished"
    mkdir -p "$base.unfinished"
    debootstrap --variant=minbase --include=python3,python3-venv,git,make,curl,ca-certificates \
        "$SUITE" "$base.unfinished" "${mirror:?apt knows no Debian mirror: apt-get update}" "$script" >"$PLACE/$SUITE.log" 2>&1 ||
        { tail -n 20 "$PLACE/$SUITE.log" >&2; exit 1; }
    mv "$base.unfinished" "$base"
}

connect() { # machine: it reaches what this machine reaches, in the same ways
    apt-config dump Acquire | grep -E '^Acquire::https?::' >"$1/etc/apt/apt.conf.d/00host" || true
    cp /etc/resolv.conf /etc/hosts "$1/etc/"
    cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
    local file
    for file in /etc/pip.conf ~/.pip/pip.conf ~/.config/pip/pip.conf; do
        [ ! -e "$file" ] || cp "$file" "$1/etc/pip.conf"
    done
    [ ! -e ~/.npmrc ] || { mkdir -p "$1/usr/local/etc"; cp ~/.npmrc "$1/usr/local/etc/npmrc"; }
}

variables() { # that say how to reach package registries
    env -0 | grep -zv '^PIP_FIND_LINKS=' | grep -zE '^(PIP_|UV_|npm_config_|NPM_CONFIG_|https?_proxy|HTTPS?_PROXY|no_proxy|NO_PROXY|SSL_CERT_|NODE_EXTRA_CA_CERTS)' || true
}

readme='
    set -euo pipefail
    cd ~/answerback
    unset -v MAKEFLAGS MAKELEVEL
    set -m # a group for the gateway, so that all of it can be told to end
    began=$SECONDS
    make serve ARGS="--port 0" >~/serve.log 2>&1 &
    until test -s answerback-data/gateway-url; do
        kill -0 $! || { cat ~/serve.log; echo "make serve: NOT SERVED"; exit 1; }
        sleep 0.1
    done
    url=$(cat answerback-data/gateway-url)
    test "$(curl -s "$url/voice/callback" --data-binary @tests/payloads/voiceprompt_example.json)" = "{\"result\":0,\"errmsg\":\"OK\"}"
    echo "make serve: answered after $((SECONDS - began)) s"
    kill -TERM -- -$!
    { wait || true; } 2>/dev/null
    set +m
    began=$SECONDS
    if make test ARGS="$1"; then result=passed; else result=FAILED; fi
    echo "make test: $result after $((SECONDS - began)) s"
    test $result = passed
'

run() { # who
    local who=$1 machine=$PLACE/$SUITE-$1 home=/root
    [ "$who" = root ] || home=/home/$who
    rm -rf "$machine"
    cp -a --reflink=auto "$base" "$machine"
    connect "$machine"
    [ "$who" = root ] || chroot "$machine" useradd --create-home "$who"
    git clone -q --no-hardlinks "$top" "$machine$home/answerback"
    chroot "$machine" chown -R "$who:" "$home"
    chmod 0700 "$machine$home"

    local -a passed=(PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME="$home" USER="$who" TERM=dumb LANG=C.UTF-8)
    [ "$who" != root ] || passed+=(CI=true) # who may install everything has no excuse to skip
    while IFS= read -r -d '' variable; do passed+=("$variable"); done < <(variables)

    echo "== $SUITE, $(chroot "$machine" python3 -V), as $who"
    # Its own processes and mounts: both are gone when it ends, however it ends.
    unshare --mount --propagation private --pid --fork --kill-child bash -c '
        set -e
        machine=$1 who=$2; shift 2
        mount --bind "$machine" "$machine"
        mount -t proc proc "$machine/proc"
        mount --rbind /sys "$machine/sys"
        mount --rbind /dev "$machine/dev"
        mount -t tmpfs -o mode=755 tmpfs "$machine/run"
        exec chroot --userspec="$who:$who" "$machine" "$@"
    ' bash "$machine" "$who" /usr/bin/env -i "${passed[@]}" bash -c "$readme" bash "$ARGS" &
    child=$!
    wait "$child"
}

main() {
    child=
    trap '[ -z "$child" ] || kill -KILL "$child" 2>/dev/null || true' EXIT
    mkdir -p "$PLACE"
    [ -d "$base" ] || build
    failed=
    for who in "${@:-root}"; do
        run "$who" || failed="$failed $who"
        [ -n "${KEEP:-}" ] || rm -rf "$PLACE/$SUITE-$who"
    done
    [ -z "$failed" ] || { echo "make fresh: FAILED as$failed" >&2; exit 1; }
    echo "make fresh: both commands of the README work on a bare $SUITE, as $*"
}

main "$@"
exit # the file may have changed under a long run
