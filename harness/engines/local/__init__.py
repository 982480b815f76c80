"""The engine that needs no daemon."""
