"""The katas: layout, delta, saving, commits and tags, diff, download; in a folder, or in a volume behind a
keeper.
"""
