"""Faults that proofs inject: cut streams, killed processes, full disks and packed references."""
