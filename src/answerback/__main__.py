"""`python -m answerback`: the same as the command `answerback`."""

from answerback.cli import app

app(prog_name="python -m answerback")
