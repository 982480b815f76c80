"""What is proved: the proofs, the faults that they raise, the matrix of what they found, and the soak."""
