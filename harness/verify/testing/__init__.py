"""For tests of anything that carries trees: what a tree may hold, how to plant it, and faults.

Nothing is imported until it is used.
"""
