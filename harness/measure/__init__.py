"""What is measured: trees, trials, the experiments that play them, and the statistics of what came out."""
