"""The console: calls, deliveries and settings as pages; server-rendered, no script needed."""
