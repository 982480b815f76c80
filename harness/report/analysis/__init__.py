"""Analysis of recorded results: pictures and tables from the frames that `harness.load_results` gives.

Every function takes a frame and returns a value (a matplotlib figure, a frame, a text); none reads or writes a file.
"""
