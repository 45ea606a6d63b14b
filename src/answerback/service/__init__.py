"""The composition root: builds the parts, runs them together, and drains them at the end.

`gateway` is the process as a whole, by its roles. The others are what it is put together from; commands take from them what
they need and import no more than that.
"""
