"""Bytes -> lines of text, in whatever encoding they are written; pure, and at constant memory.

Without a name the byte order mark gives the encoding, else NULs suggest UTF-16; else a file is UTF-8 or GBK by what most of
the first lines beyond ASCII are. A byte that does not fit stays what it was.
"""

import codecs
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from answerback.errors import ConfigError

LONGEST_LINE = 1024 * 1024

_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before that of UTF-16, which begins alike
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_CHINESE = "gb18030"  # GBK and more


class TextLine(NamedTuple):
    """A line without its end; one that is longer than LONGEST_LINE comes in parts, of which only the last `is_whole`."""

    text: str
    is_whole: bool


def check_encoding(name: str) -> str:
    """The name, if it is that of an encoding. Raises ConfigError."""
    try:
        "".encode(name)
    except LookupError as error:
        raise ConfigError(f"--encoding: there is no encoding {name}: one such as utf-8, gbk, utf-16") from error
    return name


def iter_lines(pieces: Iterable[bytes], encoding: str | None) -> Iterator[TextLine]:
    rest = ""
    for text in _decode_pieces(pieces, encoding):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            yield TextLine(line, is_whole=True)
        if len(rest) >= LONGEST_LINE:
            yield TextLine(rest, is_whole=False)
            rest = ""
    if rest:
        yield TextLine(rest, is_whole=True)


def _decode_pieces(pieces: Iterable[bytes], encoding: str | None) -> Iterator[str]:
    decoder = None if encoding is None else _decoder(encoding)
    is_first = True
    for piece in pieces:
        if decoder is None and (name := _guess_encoding(piece, is_first=is_first)) is not None:
            decoder = _decoder(name)
        is_first = False
        yield piece.decode("ascii") if decoder is None else decoder.decode(piece)
    if decoder is not None:
        yield decoder.decode(b"", final=True)


def _decoder(encoding: str) -> codecs.IncrementalDecoder:
    keeps_bytes = encoding in ("utf-8", "utf-8-sig", _CHINESE)
    return codecs.getincrementaldecoder(encoding)("surrogateescape" if keeps_bytes else "replace")


def _guess_encoding(piece: bytes, *, is_first: bool) -> str | None:
    """What the bytes are in; None while they are ASCII, which all encodings share."""
    if is_first:
        for mark, name in _MARKS.items():
            if piece.startswith(mark):
                return name
        if b"\0" in piece:
            return "utf-16-le" if piece[1::2].count(0) > piece[::2].count(0) else "utf-16-be"
    if piece.isascii():
        return None
    non_ascii = [line for line in piece.split(b"\n") if not line.isascii()]
    non_ascii = non_ascii[:-1] or non_ascii  # the last one may be cut within a character
    return _CHINESE if _decodable_share(non_ascii, "utf-8") < 0.5 <= _decodable_share(non_ascii, _CHINESE) else "utf-8"  # noqa: PLR2004  # most


def _decodable_share(lines: list[bytes], encoding: str) -> float:
    return sum(_decodes(line, encoding) for line in lines) / len(lines)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)("strict").decode(line)
    except UnicodeDecodeError:
        return False
    return True
