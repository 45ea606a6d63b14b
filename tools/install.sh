#!/bin/sh
# Install into .venv what the arguments name, in the versions of constraints.txt. uv does it in a tenth of pip's time, and is
# told what pip is configured to use: in many places the index is a mirror.
set -eu
cd "$(dirname "$0")/.."
pip=".venv/bin/python -m pip --disable-pip-version-check"
$pip install -q -c constraints.txt uv

configured=$($pip config list)
take() { # pip's option, uv's variable
    value=$(printf '%s\n' "$configured" | sed -n "s/^[^=]*\.$1='\(.*\)'$/\1/p" | head -n 1) # the environment's comes first
    if [ -n "$value" ] && [ -z "$(printenv "$2")" ]; then export "$2=$value"; fi
}
take index-url UV_DEFAULT_INDEX
take extra-index-url UV_INDEX
take trusted-host UV_INSECURE_HOST
take cert SSL_CERT_FILE

.venv/bin/uv pip install -q --python .venv/bin/python --system-certs -c constraints.txt "$@"
