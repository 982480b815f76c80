"""Mistakes with the roots of images on the local engine."""

from __future__ import annotations

from tests.mutants.spoiled import Change, Spoiled

_TESTS = "tests/engines/local/roots"
_UNPACKER = "engines/local/roots/unpacker.py"

ROOTS = (
    Spoiled(
        "set-id-bits-of-an-image",
        "Set-id bits of an image are unpacked. Every user of the machine who finds the way into the "
        "cache runs a program of root's that somebody else wrote.",
        [Change(_UNPACKER, "PERMISSIONS = 0o1777", "PERMISSIONS = 0o7777")],
        f"{_TESTS}/test_unpacking.py::test_set_id_bits_and_devices_are_not_made",
    ),
    Spoiled(
        "through-a-link-of-an-earlier-layer",
        "A file of a layer is written over what an earlier layer has in its place, instead of "
        "replacing it: through a hard link it changes another file of the image.",
        [
            Change(_UNPACKER, "os.O_WRONLY | os.O_CREAT | os.O_EXCL", "os.O_WRONLY | os.O_CREAT"),
            Change(
                _UNPACKER,
                "        if not member.isdir() or not _is_folder(parent, name):\n",
                "        if not member.isreg() and not (member.isdir() and _is_folder(parent, name)):\n",
            ),
        ],
        f"{_TESTS}/test_unpacking.py::test_a_file_does_not_write_through_a_link_that_it_replaces",
    ),
    Spoiled(
        "a-deletion-that-reaches-its-own-layer",
        "A mark deletes what its own layer brings. Builders write marks before or after what "
        "replaces the deleted file, so half of the images would lack it.",
        [
            Change(
                _UNPACKER,
                "elif (os.fstat(parent).st_ino, name) not in self._made:",
                "elif True:",
            )
        ],
        f"{_TESTS}/test_unpacking.py::test_a_mark_deletes_what_an_earlier_layer_has",
    ),
    Spoiled(
        "a-layer-without-its-digest",
        "The digest of a layer's content is not compared. A damaged archive, or one that somebody "
        "changed on the way, becomes the root of all runs.",
        [
            Change(
                "engines/local/roots/archive.py",
                'if f"sha256:{content.hexdigest()}" != layer.digest:',
                "if not layer.digest:",
            )
        ],
        f"{_TESTS}/test_store.py::test_an_image_with_a_wrong_digest_leaves_nothing",
    ),
    Spoiled(
        "a-root-that-runs-can-write",
        "The root of an image is mounted as it is. A run changes the compiler of all runs after it, "
        "wherever the image lets everybody write, or if the user is not root.",
        [
            Change(
                "engines/local/bubblewrap.py",
                'yield from ("--ro-bind", entry.path',
                'yield from ("--bind", entry.path',
            )
        ],
        f"{_TESTS}/test_runs.py::test_nothing_of_the_image_can_be_changed",
    ),
    Spoiled(
        "settings-of-the-machine",
        "The settings in /proc/sys stay writable to the programs of an image that begin as root, "
        "since they have no capability. One of them names the program that the host's kernel "
        "starts, as root, when a process crashes.",
        [
            Change(
                "engines/local/bubblewrap.py",
                "for file in MACHINE_SETTINGS if root else ():",
                "for file in ():",
            )
        ],
        f"{_TESTS}/test_runs.py::test_a_program_of_the_image_that_begins_as_root_reaches_nothing",
    ),
    Spoiled(
        "a-root-that-is-removed-in-use",
        "A root is removed with its last name, while a run of another process uses it: its "
        "compiler vanishes in the middle of a build.",
        [
            Change(
                "engines/local/roots/store.py",
                "            fcntl.flock(folder, fcntl.LOCK_SH | fcntl.LOCK_NB)\n",
                "",
            )
        ],
        f"{_TESTS}/test_store.py::test_a_root_that_is_in_use_stays",
    ),
)
