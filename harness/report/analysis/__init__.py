"""Analysis of recorded results: pictures and tables from the frames of `harness.load_results`.

Every function takes a frame and returns a value: a matplotlib figure, a frame or a text. None
writes a file.
"""
