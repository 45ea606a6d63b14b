"""The HTTP API: /v1, health and metrics. FastAPI, apart from the hot path of callbacks."""
