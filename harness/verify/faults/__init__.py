"""Faults, in one set of words: what can go wrong in streams, containers, disks and histories.

Proofs, the soak and tests inject them, by an engine that stands in front of another.
"""
