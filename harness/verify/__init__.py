"""Verification: proofs, the faults that they inject, the matrix of results, and the soak."""
