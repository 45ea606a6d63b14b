"""Arguments of a program's that would otherwise fail later, and elsewhere."""

from answerback.errors import ConfigError


def require_number(name: str, value: object, *, or_zero: bool = False) -> None:
    """Raise ConfigError, naming the argument, where it is no number above 0: the text of an environment variable, for example."""
    if not isinstance(value, int | float) or not (value > 0 or (or_zero and value == 0)):
        raise ConfigError(f"{name}: expected a number {'from 0 on' if or_zero else 'above 0'}, got {value!r}")
