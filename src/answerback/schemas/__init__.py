"""The shapes that readers see, the same in /v1, the console and exports."""
