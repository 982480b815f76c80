"""For the tests of whoever carries trees: what a tree may hold, and how to plant it. Nothing is imported until it is used."""
