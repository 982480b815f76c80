"""Mistakes about what is on the disk when the power fails: each thing that is forced there left out, or done too late. The proof
of *durable* refutes each of them, so that nothing is forced without a need.
"""

from __future__ import annotations

from tests.mutants.spoiled import Change, Spoiled

PROOF = "tests/proofs/test_durable.py"
TMP = f"{PROOF}::test_who_asks_for_it_is_proved[tmp:durable=yes-local-plain]"
PIPED = f"{PROOF}::test_who_asks_for_it_is_proved[katas-data-container:durable=yes-local-plain]"
LAYERED = f"{PROOF}::test_who_changes_a_tree_in_parts_is_proved_too[katas-overlay:layers=2,durable=yes-local]"

SECONDS = 240.0


def forgotten(
    name: str, words: str, file: str, old: str, new: str, test: str, *, dear: bool = True
) -> Spoiled:
    """One thing that is not forced to the disk."""
    return Spoiled(name, words, [Change(file, old, new)], test, SECONDS, dear=dear)


POWER = (
    forgotten(
        "renamed-before-data",
        "A file gets its name before what is in it is on the disk, as half of all programs did that ext4's delayed "
        "allocation left with empty files in 2009: a rename is no promise about contents.",
        "inside/atomic_file.py",
        "            if sync:\n                file.flush()\n                sync(file.fileno())\n"
        "        os.rename(temporary, path)\n",
        "            if sync:\n                file.flush()\n        os.rename(temporary, path)\n        if sync:\n"
        "            with open(path, 'rb') as file:\n                sync(file.fileno())\n",
        TMP,
        dear=False,
    ),
    forgotten(
        "journal-before-tree",
        "The file that decides is forced to the disk before it has its name, and what it decides about is not: the tree "
        "that takes the sandbox's place is one of empty files.",
        "inside/journal.py",
        "sync=sync_disk if durable else None)\n    if durable:\n        sync_folder(avatar)\n",
        "sync=sync_file if durable else None)\n    if durable:\n        sync_folder(avatar)\n",
        PIPED,
    ),
    forgotten(
        "journal-without-its-folder",
        "The file that decides is on the disk, and its name is not, since fsync(2) does not promise the name of a new "
        "file: what it decides is half carried out, and nobody knows.",
        "inside/journal.py",
        "    if durable:\n        sync_folder(avatar)\n",
        "",
        PIPED,
    ),
    forgotten(
        "journal-goes-first",
        "The file that decides goes before what it decided is on the disk: the branch, the tag and increments.json are "
        "each from another time.",
        "inside/journal.py",
        "            sync_disk(file.fileno())\n",
        "            file.fileno()\n",
        PIPED,
    ),
    forgotten(
        "listing-torn",
        "increments.json gets its name before its content is on the disk, since it is made again anyway from what was "
        "decided: but for one test event alone, and the other avatars' are gone.",
        "inside/journal.py",
        "        sync = sync_file if durable else None\n",
        "        sync = None\n",
        TMP,
    ),
    forgotten(
        "history-half-made",
        "The folders of a new history are not on the disk when its HEAD says that they are: the avatar can never be read.",
        "inside/journal.py",
        "head, sync=sync_disk if durable else None)",
        "head)",
        TMP,
    ),
    forgotten(
        "objects-in-place",
        "Objects of the history get their names at once, as git gives them (core.fsync leaves it to be chosen): one that is "
        "torn is taken for whole by every later test event that has the same content.",
        "inside/journal.py",
        "        if not durable:\n            objects.write",
        "        if not staged:\n            objects.write",
        TMP,
    ),
    forgotten(
        "doubt-torn",
        "The list of what is being written gets its name before its content is on the disk: the avatar cannot be read.",
        "inside/folder_event.py",
        "self._write_visible(encode(record), sync_file if self._durable else None)",
        "self._write_visible(encode(record), None)",
        PIPED,
    ),
    forgotten(
        "doubt-comes-late",
        "A file of the sandbox is replaced before it is on the disk that it is in doubt: the next test event takes it for "
        "what was sent before.",
        "inside/folder_event.py",
        '                # The record must say "writing" before the first file is replaced.\n'
        "                sync_folder(str(self._folder))\n",
        "                os.fsencode(self._folder)\n",
        PIPED,
    ),
    forgotten(
        "visible-file-torn",
        "A visible file takes the place of another before it is on the disk, and is empty.",
        "inside/folder_event.py",
        "                sync=sync_file if self._durable else None,\n",
        "                sync=None,\n",
        PIPED,
    ),
    forgotten(
        "certain-too-soon",
        "Of a test event that was not accepted it is noted that its files are there, before they are: the next one does not "
        "send them.",
        "inside/folder_event.py",
        "self._write_visible(self._unwritten_record, sync_disk)",
        "self._write_visible(self._unwritten_record, sync_file)",
        PIPED,
    ),
    forgotten(
        "layers-listed-too-soon",
        "Layers that were folded into one are listed as that before it is on the disk: what runs made in ten of them is gone.",
        "inside/layered_event.py",
        "self._write(self._listed, sync_disk)",
        "self._write(self._listed, sync_file)",
        LAYERED,
    ),
    forgotten(
        "layers-gone-before-the-list",
        "Layers that were folded are removed before the list without them has its name on the disk; and stamps are brought "
        "back to the clock before it is on the disk what they were.",
        "inside/layered_event.py",
        "        if self._durable:\n            sync_folder(str(self._folder))\n",
        "",
        LAYERED,
    ),
    forgotten(
        "list-torn",
        "The list of layers is written anew for stamps that lie ahead of the clock, and gets its name before its content is "
        "on the disk: the avatar cannot be read.",
        "inside/layered_event.py",
        "self._write(self._listed, sync_file)",
        "self._write(self._listed, os.fstat)",
        LAYERED,
    ),
    Spoiled(
        "folded-tree-torn",
        "A tree that all layers are folded into takes the sandbox's place before it is on the disk, and its files are empty.",
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
        "The list of layers goes before the tree that has them in it is the sandbox: what is left is what was below them.",
        "inside/layer_list.py",
        "    if durable:\n        sync_folder(str(avatar))\n    (avatar / LAYER_LIST).unlink()\n",
        "    (avatar / LAYER_LIST).unlink()\n",
        LAYERED,
    ),
    forgotten(
        "layers-gone-before-their-list-has",
        "Layers are removed before it is on the disk that nobody lists them any more: what is listed is not there.",
        "inside/layer_list.py",
        "    (avatar / LAYER_LIST).unlink()\n    if durable:\n        sync_folder(str(avatar))\n",
        "    (avatar / LAYER_LIST).unlink()\n",
        LAYERED,
    ),
    forgotten(
        "pack-torn",
        "A pack gets its name before it is on the disk, and the objects in it go: git says that the pack is corrupt.",
        "inside/packs.py",
        "        sync_file(file.fileno())\n        data",
        "        data",
        TMP,
    ),
    forgotten(
        "index-torn",
        "The index of a pack gets its name before it is on the disk, and the objects in the pack go: nobody finds them in it.",
        "inside/packs.py",
        "            sync_file(out.fileno())\n",
        "",
        TMP,
    ),
    forgotten(
        "pack-without-a-name",
        "Objects go before the pack that has them too has its name on the disk: they are in neither, and the history is lost.",
        "inside/packs.py",
        "        sync_folder(folder)\n",
        "",
        TMP,
    ),
    forgotten(
        "packs-without-a-folder",
        "The first pack of a history has its name on the disk, and the folder that it is in has not; this project's first "
        "version did so, with or without the option.",
        "inside/repack.py",
        "        sync_folder(os.path.dirname(folder))\n",
        "",
        TMP,
    ),
    forgotten(
        "packed-refs-torn",
        "packed-refs gets its name before it is on the disk, and the tags in it go: no test event of the past can be found.",
        "inside/refs.py",
        "                    sync(file.fileno())\n",
        "                    file.fileno()\n",
        TMP,
    ),
    forgotten(
        "tags-gone-before-packed-refs",
        "Tags go before packed-refs has its name on the disk; this project's first version did so, with or without the "
        "option.",
        "inside/refs.py",
        "        sync_folder(history)\n",
        "",
        TMP,
    ),
)
