"""The exit statuses of `harness`, beside 0 and the 1 of a verdict."""

USAGE = 2
"""A command cannot do what it was asked to do."""

BROKEN = 70
"""The harness has a bug (EX_SOFTWARE of sysexits(3))."""

SIGNALLED = 128
"""A process that a signal stopped exits with the signal's number plus this, as in shells."""
