"""The pages for people: what became of the calls, and what is owed to whom; server-rendered, no script needed."""
