"""The trees to build: the typical one, real C projects by recipe, and a user's own folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import platformdirs

from harness.engines.fixtures import fixture
from harness.inside.errors import UsageError
from harness.katas.gather import left_out_line
from harness.measure.trees.own_tree import OwnTree
from harness.measure.trees.recipe import RecipeTree, load_recipe
from harness.measure.trees.sdist import fetch
from harness.measure.trees.source import SourceTree, TreeEdit
from harness.measure.trees.typical import TypicalTree

__all__ = [
    "OwnTree",
    "RecipeTree",
    "SourceTree",
    "TreeEdit",
    "TypicalTree",
    "known",
    "open_tree",
    "recipes",
]


def recipes() -> dict[str, Path]:
    """Return the recipes of real projects, by name."""
    return {path.stem: path for path in sorted(fixture("trees").glob("*.toml"))}


def known(name: str) -> bool:
    """Whether it is one of the harness's own trees: C, built by make, with known edits."""
    return name.partition(":")[0] == "typical" or name in recipes()


def open_tree(
    name: str,
    *,
    edit: str | None = None,
    header: str | None = None,
    exclude: Sequence[str] = (),
    report: Callable[[str], None],
) -> SourceTree:
    """Open `typical`, `typical:size=16MB,files=1000`, a recipe's tree, or a folder with its edits.

    Raises UsageError for a tree that does not exist or cannot be played, and TreeError if it cannot
    be fetched.
    """
    kind, _, parameters = name.partition(":")
    if known(name):
        for option, given in (("--edit", edit), ("--edit-header", header)):
            if given is not None:
                raise UsageError(
                    f"the tree {name} has edits of its own; leave out {option} {given}"
                )
        if kind == "typical":
            return TypicalTree(parameters)
        recipe = load_recipe(recipes()[name])
        return RecipeTree(
            recipe, fetch(recipe.source, platformdirs.user_cache_path("harness") / "trees", report)
        )
    if not name or not Path(name).is_dir():
        raise UsageError(
            f"there is no tree {name or 'without a name'}; give a folder, "
            f"or one of typical, {', '.join(recipes())}"
        )
    if edit is None:
        raise UsageError(f"which file of {name} is to be edited? give --edit FILE, relative to it")
    tree = OwnTree(Path(name), edit, header=header, exclude=exclude)
    if tree.files.left_out:
        report(left_out_line(tree.files.left_out))
    return tree
