"""The tests, in the folders of the wings that they test; and `project/`, `docs/` and `mutants/`,
which test the whole.
"""

from pathlib import Path

ROOT = Path(__file__).parents[1]
"""The folder of the repository."""
