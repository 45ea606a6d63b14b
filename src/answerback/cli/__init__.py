"""The command line: arguments in, service calls out."""

from answerback.cli.main import app

__all__ = ["app"]
