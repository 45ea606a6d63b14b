"""Text as PostgreSQL can keep it: any but the character NUL, which JSON can spell.

It is kept as the sign for it, in calls and what is looked up; the raw bytes of a callback keep what came.
"""

from typing import Any

import msgspec

from answerback.domain.models import ParsedCallback, RejectedCallback

_NUL, _NUL_SYMBOL = "\0", "\N{SYMBOL FOR NULL}"
_NUL_ESCAPE = rb"\u0000"  # JSON has no other way for it


def replace_nul(value: Any) -> Any:
    """`value`, a parameter of a statement, without any NUL in its text."""
    if type(value) is str:  # an enumeration's word has none
        return value.replace(_NUL, _NUL_SYMBOL)
    if isinstance(value, list | tuple):
        return [replace_nul(one) for one in value]
    if isinstance(value, dict):
        return {name: replace_nul(one) for name, one in value.items()}
    return value


def replace_nul_fields(item: ParsedCallback | RejectedCallback) -> ParsedCallback | RejectedCallback:
    """`item` with a callback that can be kept; what it is known by, and the bytes, stay."""
    if isinstance(item, RejectedCallback) or _NUL_ESCAPE not in item.raw:
        return item
    callback = item.callback
    words = {name: replace_nul(getattr(callback, name)) for name in callback.__struct_fields__}
    return msgspec.structs.replace(item, callback=msgspec.structs.replace(callback, **words))


def contains_nul(parameters: Any) -> bool:
    """Whether some text in the parameters of a statement has a NUL."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    return any(
        _NUL in value if isinstance(value, str) else isinstance(value, dict | list | tuple) and contains_nul(value)
        for value in values or ()
    )
