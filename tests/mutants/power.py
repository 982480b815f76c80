"""Mistakes about the disk at a power failure: something is forced there too late, or never.

The proof of *durable* refutes each of them, so nothing is forced without a need.
"""

from __future__ import annotations

from tests.mutants.spoiled import Change, Spoiled

PROOF = "tests/verify/proofs/test_durable.py"
TMP = f"{PROOF}::test_who_asks_for_it_is_proved[tmp:durable=yes-local-plain]"
PIPED = f"{PROOF}::test_who_asks_for_it_is_proved[katas-data-container:durable=yes-local-plain]"
_LAYERS = "katas-overlay:layers=2,durable=yes-local"
LAYERED = f"{PROOF}::test_who_changes_a_tree_in_parts_is_proved_too[{_LAYERS}]"

SECONDS = 240.0


def forgotten(
    name: str, words: str, file: str, old: str, new: str, test: str, *, dear: bool = True
) -> Spoiled:
    """Return the mistake that something is not forced to the disk."""
    return Spoiled(name, words, [Change(file, old, new)], test, SECONDS, dear=dear)


POWER = (
    forgotten(
        "renamed-before-data",
        "A file gets its name before its content is on the disk. In 2009 ext4's delayed "
        "allocation left half of all programs with empty files for that: a rename promises "
        "nothing about contents.",
        "inside/atomic_file.py",
        "            if sync:\n                file.flush()\n                sync(file.fileno())\n"
        "        os.rename(temporary, path)\n",
        "            if sync:\n                file.flush()\n"
        "        os.rename(temporary, path)\n        if sync:\n"
        "            with open(path, 'rb') as file:\n                sync(file.fileno())\n",
        TMP,
        dear=False,
    ),
    forgotten(
        "journal-before-tree",
        "The file that decides is forced to the disk before it gets its name, and the tree that "
        "it decides about is not. The tree that replaces the sandbox has empty files.",
        "inside/journal.py",
        "sync=sync_disk if durable else None)\n    if durable:\n        sync_folder(avatar)\n",
        "sync=sync_file if durable else None)\n    if durable:\n        sync_folder(avatar)\n",
        PIPED,
    ),
    forgotten(
        "journal-without-its-folder",
        "The file that decides is on the disk and its name is not, since fsync(2) does not "
        "promise the name of a new file. Its decision is half carried out, and nobody knows.",
        "inside/journal.py",
        "    if durable:\n        sync_folder(avatar)\n",
        "",
        PIPED,
    ),
    forgotten(
        "journal-goes-first",
        "The file that decides is removed before the results of its decision are on the disk. The "
        "branch, the tag and increments.json are each from another time.",
        "inside/journal.py",
        "            sync_disk(file.fileno())\n",
        "            file.fileno()\n",
        PIPED,
    ),
    forgotten(
        "listing-torn",
        "increments.json gets its name before its content is on the disk, since the decision "
        "restores it. But that restores one test event only, and those of other avatars are lost.",
        "inside/journal.py",
        "        sync = sync_file if durable else None\n",
        "        sync = None\n",
        TMP,
    ),
    forgotten(
        "history-half-made",
        "The folders of a new history are not on the disk when its HEAD promises them. The avatar "
        "can never be read.",
        "inside/journal.py",
        "head, sync=sync_disk if durable else None)",
        "head)",
        TMP,
    ),
    forgotten(
        "objects-in-place",
        "Objects of the history get their names at once, as in git, where core.fsync decides "
        "about this. Every later test event with the same content takes a torn object for whole.",
        "inside/journal.py",
        "        if not durable:\n            objects.write",
        "        if not staged:\n            objects.write",
        TMP,
    ),
    forgotten(
        "doubt-torn",
        "The list of files that are being written gets its name before its content is on the "
        "disk. The avatar cannot be read.",
        "inside/folder_event.py",
        "self._write_visible(encode(record), sync_file if self._durable else None)",
        "self._write_visible(encode(record), None)",
        PIPED,
    ),
    forgotten(
        "doubt-comes-late",
        "A file of the sandbox is replaced before the disk says that it is in doubt. The next "
        "test event takes it for what was sent before.",
        "inside/folder_event.py",
        '                # The record must say "writing" before the first file is replaced.\n'
        "                sync_folder(str(self._folder))\n",
        "                os.fsencode(self._folder)\n",
        PIPED,
    ),
    forgotten(
        "visible-file-torn",
        "A visible file replaces another before its content is on the disk. A power failure then "
        "leaves it empty.",
        "inside/folder_event.py",
        "                sync=sync_file if self._durable else None,\n",
        "                sync=None,\n",
        PIPED,
    ),
    forgotten(
        "certain-too-soon",
        "After a test event that was not accepted, its files are noted as present before they are "
        "on the disk. The next one does not send them.",
        "inside/folder_event.py",
        "self._write_visible(self._unwritten_record, sync_disk)",
        "self._write_visible(self._unwritten_record, sync_file)",
        PIPED,
    ),
    forgotten(
        "layers-listed-too-soon",
        "Layers that were folded into one are listed as one before that one is on the disk. What "
        "runs made in ten of them is lost.",
        "inside/layered_event.py",
        "self._write(self._layer_list, sync_disk)",
        "self._write(self._layer_list, sync_file)",
        LAYERED,
    ),
    forgotten(
        "layers-gone-before-the-list",
        "Folded layers are removed before the name of the list without them is on the disk; and "
        "stamps are brought back to the clock before their old values are on the disk.",
        "inside/layered_event.py",
        "        if self._durable:\n            sync_folder(str(self._folder))\n",
        "",
        LAYERED,
    ),
    forgotten(
        "list-torn",
        "The list of layers is rewritten for stamps ahead of the clock, and gets its name before "
        "its content is on the disk. The avatar cannot be read.",
        "inside/layered_event.py",
        "self._write(self._layer_list, sync_file)",
        "self._write(self._layer_list, os.fstat)",
        LAYERED,
    ),
    Spoiled(
        "folded-tree-torn",
        "The tree into which all layers are folded replaces the sandbox before it is on the disk, "
        "and its files are empty.",
        [
            Change(
                "inside/layer_list.py",
                "sync=sync_disk if durable else None)",
                "sync=sync_file if durable else None)",
            ),
            Change("inside/layer_list.py", "sync_disk, sync_folder\n", "sync_file, sync_folder\n"),
        ],
        LAYERED,
        SECONDS,
        dear=True,
    ),
    forgotten(
        "list-gone-before-the-exchange",
        "The list of layers is removed before the tree that contains them has become the sandbox. "
        "Only what was below them is left.",
        "inside/layer_list.py",
        "    if durable:\n        sync_folder(str(avatar))\n    (avatar / LAYER_LIST).unlink()\n",
        "    (avatar / LAYER_LIST).unlink()\n",
        LAYERED,
    ),
    forgotten(
        "layers-gone-before-their-list-has",
        "Layers are removed before the removal of their list is on the disk. Listed layers are "
        "missing.",
        "inside/layer_list.py",
        "    (avatar / LAYER_LIST).unlink()\n    if durable:\n        sync_folder(str(avatar))\n",
        "    (avatar / LAYER_LIST).unlink()\n",
        LAYERED,
    ),
    forgotten(
        "pack-torn",
        "A pack gets its name before it is on the disk, and its loose objects are removed. Git "
        "says that the pack is corrupt.",
        "inside/packs.py",
        "        sync_file(file.fileno())\n        data",
        "        data",
        TMP,
    ),
    forgotten(
        "index-torn",
        "The index of a pack gets its name before it is on the disk, and the loose objects of the "
        "pack are removed. Nobody finds them in the pack.",
        "inside/packs.py",
        "            sync_file(out.fileno())\n",
        "",
        TMP,
    ),
    forgotten(
        "pack-without-a-name",
        "Loose objects are removed before the name of their pack is on the disk. They are in "
        "neither, and the history is lost.",
        "inside/packs.py",
        "        sync_folder(folder)\n",
        "",
        TMP,
    ),
    forgotten(
        "packs-without-a-folder",
        "The name of a history's first pack is on the disk, and its folder is not. This project's "
        "first version did so, with and without the option.",
        "inside/repack.py",
        "        sync_folder(os.path.dirname(folder))\n",
        "",
        TMP,
    ),
    forgotten(
        "packed-refs-torn",
        "packed-refs gets its name before it is on the disk, and its loose tags are removed. No "
        "earlier test event can be found.",
        "inside/refs.py",
        "                    sync(file.fileno())\n",
        "                    file.fileno()\n",
        TMP,
    ),
    forgotten(
        "tags-gone-before-packed-refs",
        "Loose tags are removed before the name of packed-refs is on the disk. This project's "
        "first version did so, with and without the option.",
        "inside/refs.py",
        "        sync_folder(history)\n",
        "",
        TMP,
    ),
)
