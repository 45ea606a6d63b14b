#!/bin/sh
# Run uv, told what pip is configured to use: in many places the index is a mirror.
set -eu
here=$(dirname "$0")/../.venv/bin

configured=$("$here/python" -m pip --disable-pip-version-check config list)
take() { # pip's option, uv's variable
    value=$(printf '%s\n' "$configured" | sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" | head -n 1) # the environment's comes first
    if [ -n "$value" ] && [ -z "$(printenv "$2")" ]; then export "$2=$value"; fi
}
take index-url UV_DEFAULT_INDEX
take extra-index-url UV_INDEX
take trusted-host UV_INSECURE_HOST
take cert SSL_CERT_FILE

exec "$here/uv" --system-certs "$@"
