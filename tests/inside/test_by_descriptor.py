"""What a keeper runs goes into trees that hostile code may hold, and often as root: by descriptors,
never by a path that is put together, which a folder swapped for a symlink leads astray. So does what
gathers the files of a player's folder.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

INSIDE = sorted(
    each.name for each in resources.files("harness.inside").iterdir() if each.name.endswith(".py")
)

OPEN = "what it is given is an open folder"
KERNEL = "the name that the kernel has for what is open"
BESIDE = "beside the sandbox: in a folder where keepers alone make names"
ITSELF = "the sandbox or the staged tree itself, whose name is made by keepers alone"
LAYERS = "no run writes to a layer while a keeper is in it, and none sees more than the merged tree"

ALLOWED = {
    "descent.py": {"_scan": OPEN},
    "disk.py": {
        "can_exchange": BESIDE,
        "permit": KERNEL,
        "open_file": KERNEL,
        "give": KERNEL,
        "_unlink_files": OPEN,
        "sync_folder": BESIDE,
    },
    "tree.py": {"_digest": OPEN},
    "journal.py": BESIDE,
    "layered_event.py": LAYERS,
    "layers.py": LAYERS,
    "hard_links.py": LAYERS,
    "layer_list.py": BESIDE,
    "locks.py": BESIDE,
    "objects.py": BESIDE,
    "packs.py": BESIDE,
    "staged_changes.py": {"carry_out": OPEN},
    "refs.py": BESIDE,
    "removal.py": BESIDE,
    "repack.py": BESIDE,
    "ownership.py": {"is_handed_over": ITSELF},
    "saving.py": {
        "_holds_anything": OPEN,
        "write_file": BESIDE,
        "_put": BESIDE,
        "_swap": BESIDE,
    },
    "folder_event.py": {
        "__init__": BESIDE,
        "roots": ITSELF,
        "start_afresh": BESIDE,
        "_save": ITSELF,
        "_held": BESIDE,
        "_invalidate_copies": BESIDE,
        "_write_visible": BESIDE,
    },
    "folder_katas.py": {
        "event": BESIDE,
        "download": BESIDE,
        "tidy": BESIDE,
        "_folders": BESIDE,
        "_recover": BESIDE,
    },
    "sent_record.py": {"read_sent": BESIDE},
    "copy_event.py": {"roots": ITSELF},
    "upper_layer.py": LAYERS,
    "atomic_file.py": BESIDE,
}
"""Why a module, or a function of one, may name what it touches by its path. Whoever adds to it has
to think of a team mate's run that swaps any folder that it can write to, at any moment.
"""

TOP = "the folder itself, which the user names; whoever replaces it meanwhile is found out"

GATHERING = {
    "gather.py": {"_scan": OPEN, "_identities": "a folder of katas, which the user names"},
    "players_folder.py": {"held": TOP},
    "visible.py": {
        "read": OPEN,
        "write": "a folder of the harness, which nobody else can write to",
    },
}
"""The same of the modules that read a player's folder."""

BY_PATH = {
    each.__name__ for each in os.supports_dir_fd | os.supports_fd | os.supports_follow_symlinks
} | {
    *(
        "lchown",
        "lstat",
        "makedirs",
        "remove",
        "removedirs",
        "rename",
        "renames",
        "replace",
        "setxattr",
        "walk",
    ),
    *("getxattr", "listxattr", "removexattr"),
}
"""Functions of `os` that take a path, most of them with the folder that it is in."""

OF_PATHS = {each for each in vars(Path) if not each.startswith("_")} & {
    *(
        "glob",
        "hardlink_to",
        "iterdir",
        "lchmod",
        "mkdir",
        "open",
        "rglob",
        "symlink_to",
        "touch",
        "unlink",
    ),
    *("read_bytes", "read_text", "write_bytes", "write_text"),
}
"""Methods of a path, as far as they are not called like a method of something else."""

FOLDERS = frozenset({"dir_fd", "src_dir_fd", "dst_dir_fd"})


def by_path(source: str) -> Iterator[tuple[str, str]]:
    """Each call in a module that names something by its path: the function that it is in, and the
    call.
    """

    def look(node: ast.AST, function: str) -> Iterator[tuple[str, str]]:
        for each in ast.iter_child_nodes(node):
            if isinstance(each, ast.Call) and named(each.func) and not in_a_folder(each):
                yield function, ast.unparse(each)
            yield from look(each, each.name if isinstance(each, ast.FunctionDef) else function)

    def in_a_folder(call: ast.Call) -> bool:
        # Of what may be None, which is the folder that the process is in, the function before it
        # has to get rid.
        return any(k.arg in FOLDERS and not isinstance(k.value, ast.Call) for k in call.keywords)

    def named(called: ast.expr) -> bool:
        if isinstance(called, ast.Name):
            return called.id == "open"
        if not isinstance(called, ast.Attribute):
            return False
        if isinstance(called.value, ast.Name) and called.value.id in ("os", "shutil", "glob"):
            return called.value.id != "os" or called.attr in BY_PATH
        return called.attr in OF_PATHS

    return look(ast.parse(source), "")


@pytest.mark.parametrize("module", INSIDE)
def test_a_keeper_names_nothing_by_its_path(module: str) -> None:
    """But where there is a reason; and there is no reason without a need."""
    found = list(by_path(resources.files("harness.inside").joinpath(module).read_text()))
    allowed = ALLOWED.get(module, {})
    if isinstance(allowed, str):
        assert found, f"{module} needs no reason any more"
        return
    assert [call for function, call in found if function not in allowed] == []
    assert allowed.keys() <= {function for function, _ in found}


@pytest.mark.parametrize("module", GATHERING)
def test_what_reads_a_player_s_folder_names_nothing_in_it_by_its_path(module: str) -> None:
    found = list(by_path(resources.files("harness.katas").joinpath(module).read_text()))
    assert [call for function, call in found if function not in GATHERING[module]] == []
    assert GATHERING[module].keys() <= {function for function, _ in found}


@pytest.mark.parametrize(
    "call",
    [
        "os.chown(os.path.join(root, path), *owner, follow_symlinks=False)",
        "os.walk(sandbox)",
        "shutil.rmtree(path)",
        "open(path, 'rb')",
        "(folder / name).unlink()",
        "os.rename(temporary, path)",
        "os.open(last, flags, dir_fd=folders.find(parts))",
    ],
)
def test_each_way_to_go_by_a_path_is_found(call: str) -> None:
    """Also deep in an expression."""
    assert list(by_path(f"def f():\n    return [x for x in {call}]\n")) == [("f", call)]


@pytest.mark.parametrize(
    "call", ["os.chown(name, *owner, dir_fd=folder)", "os.fchmod(file, mode)", "os.close(file)"]
)
def test_what_goes_by_descriptors_is_not(call: str) -> None:
    assert list(by_path(call)) == []
