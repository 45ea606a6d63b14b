"""The schemas that /v1, the console and exports share."""
