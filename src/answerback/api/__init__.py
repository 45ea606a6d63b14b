"""What is known, over HTTP: /v1, health and metrics. FastAPI, beside the hot path."""

from answerback.api.app import build_api

__all__ = ["build_api"]
