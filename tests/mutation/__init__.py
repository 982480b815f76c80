"""Small wrong variants of the code, made by cosmic-ray, and whether tests catch them: `make mutation`.

`tests.mutants` has runners that are wrong by hand. Here each variant differs from the code in one
operator, number, comparison or condition.
"""
