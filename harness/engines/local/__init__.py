"""The local engine, which needs no daemon."""
