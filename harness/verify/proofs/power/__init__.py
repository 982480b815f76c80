"""Power failures: what a test event does to the disk, and what a failure may leave of it."""
