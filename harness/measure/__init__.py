"""Measuring: trees, trials, the experiments that play them, result files and statistics."""
