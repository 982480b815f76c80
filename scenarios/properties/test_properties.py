"""What do the runners keep? See the README beside this file."""

from __future__ import annotations

from harness.verify.suite import test_property

__all__ = ["test_property"]
