"""What is known, over HTTP: /v1, health and metrics. FastAPI, beside the hot path."""
