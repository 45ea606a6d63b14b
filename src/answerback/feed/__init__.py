"""The activity feed: what happens, as it happens, for the console's live view and for /v1/events."""
