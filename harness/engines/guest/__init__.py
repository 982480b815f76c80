"""`guest.sh`, which serves every run-container from inside, and the harness's end of its stream."""
