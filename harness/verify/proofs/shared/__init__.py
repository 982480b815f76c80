"""What the proofs share: the runner under proof, the search, its results, and what they observe."""
