"""What also runs inside a keeper: the standard library alone. A keeper's program is this folder."""
