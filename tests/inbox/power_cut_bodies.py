"""Bodies that can be made again from their place: small ones, and some of several pages."""


def body(generation: int, position: int) -> bytes:
    """The body of the row there."""
    text = b"%d/%d " % (generation, position)
    return text * (1500 if position % 7 == 0 else 40)
