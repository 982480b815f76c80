"""A package, so that a command's tests may have the name of the tests of what it calls."""
