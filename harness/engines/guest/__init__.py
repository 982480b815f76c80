"""The program inside every run-container, and the harness's end of it."""
