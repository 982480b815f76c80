"""The part of the harness that also runs inside keepers, with the standard library alone.

A keeper's program is this folder.
"""
