"""Roots: the root file systems of images, unpacked for the local engine, which needs no daemon.

`archive` reads images, `unpacker` unpacks a layer, `store` keeps the roots, and `provide` finds an
image for a run: in the cache, on a Docker engine, or by a recipe.
"""
