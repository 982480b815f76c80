"""Mistakes in trusted code that hostile runs or dying machines exploit, each with its test."""

from __future__ import annotations

from tests.mutants.order import ORDER
from tests.mutants.power import POWER
from tests.mutants.roots import ROOTS
from tests.mutants.spoiled import Change, Spoiled

FOLDERS = "tests/engines/test_folders.py"
TRAPS = f"{FOLDERS}::test_what_is_no_folder_with_a_plain_label_is_left_alone"
DEATHS = f"{FOLDERS}::test_whoever_dies_while_a_folder_is_made_or_removed_it_is_found"
TRUSTED = "tests/engines/guest/test_environment.py::test_what_is_trusted_has_nothing_of_the_image"
STARTED = (
    "tests/engines/local/test_local.py::"
    "test_what_the_harness_was_started_with_rules_nothing_that_is_trusted"
)


def left_to_an_image(name: str, words: str) -> Spoiled:
    """Return the mistake that this variable of an image reaches a container's first process."""
    old = 'names = {variable.partition("=")[0] for variable in variables}'
    change = Change("engines/guest/environment.py", old, f'{old} - {{"{name}"}}')
    return Spoiled(
        f"{name.lower().replace('_', '-')}-of-the-image",
        words,
        [change],
        TRUSTED,
        dear=name != "LD_LIBRARY_PATH",
    )


REACHES = (
    Spoiled(
        "handed-over-by-path",
        "A tree is handed to the player by joined paths, as by `chown -R` and by this project's "
        "first version. A team mate's run swaps a folder for a symlink meanwhile, and 300 of 300 "
        "files of the host became nobody's.",
        [
            Change(
                "inside/ownership.py",
                "_give(met, owner, folders=False, names=names)",
                "_give(sandbox, met, owner, folders=False, names=names)",
            ),
            Change(
                "inside/ownership.py",
                "_give(met, owner, folders=True, names=names)",
                "_give(sandbox, met, owner, folders=True, names=names)",
            ),
            Change(
                "inside/ownership.py", "def _give(met: Met,", "def _give(sandbox: str, met: Met,"
            ),
            Change(
                "inside/ownership.py",
                "hold(met.name, parent=met.parent)",
                "hold(os.path.join(os.fsencode(sandbox), met.path))",
            ),
        ],
        "tests/inside/test_saving.py::TestOwner::"
        "test_a_folder_that_is_swapped_meanwhile_leads_nowhere",
    ),
    Spoiled(
        "handed-over-for-good",
        "A sandbox that was handed over to the player counts as the player's from then on, as once "
        "in this project. Another runner puts files of its own into it, and the next run may not "
        "write to them: every press ends with `Permission denied`, until a fresh start.",
        [
            Change(
                "inside/ownership.py",
                "        if not is_handed_over(sandbox, own):",
                "        if False:",
            )
        ],
        "tests/inside/test_ownership.py::"
        "test_whoever_changed_the_tree_the_next_run_that_mounts_it_owns_it[brought back]",
    ),
    Spoiled(
        "open-avatars",
        "An avatar's folder has the permissions that folders usually have, as once in this project. "
        "In a folder of katas that others may enter, any of them starts the set-id program that a "
        "run of katas-volume left, and becomes the user who plays.",
        [
            Change(
                "inside/folder_katas.py",
                "self._mode = 0o755 if entered else 0o700",
                "self._mode = 0o755",
            )
        ],
        "tests/inside/test_store.py::TestWhoSees::"
        "test_what_a_run_leaves_in_an_open_folder_is_closed_to_others",
    ),
    Spoiled(
        "variables-of-the-image",
        "Trusted programs in a container get the image's variables beside their own, as by "
        "`docker exec` and `docker run -e`. With an LD_LIBRARY_PATH that ends in a colon, the "
        "player's library runs as root.",
        [Change("engines/guest/environment.py", ", *sorted(names - TRUSTED.keys())]", "]")],
        TRUSTED,
    ),
    left_to_an_image(
        "LD_LIBRARY_PATH",
        "PATH is removed from an image's variables, and LD_LIBRARY_PATH is not. An empty entry in "
        "it is the current folder, so the system's `cat` loads what a player compiled, and runs "
        "it as root.",
    ),
    left_to_an_image(
        "BASH_ENV",
        "Variables of the dynamic linker are removed from an image's, and BASH_ENV is not. Where "
        "an image's sh is bash, or one of its tools is a script, each shell script of the harness "
        "first runs the file that it names.",
    ),
    left_to_an_image(
        "TAR_OPTIONS",
        "Variables that name programs are removed from an image's, and TAR_OPTIONS is not. With "
        "`--mtime` or `--touch` in it each build starts again, and `--to-command` runs as root.",
    ),
    Spoiled(
        "path-of-the-image",
        "The guest finds its tools by the image's PATH, as in this project's first version. If it "
        "begins with `.`, the player's own `cat` runs as root with the capability to become "
        "anybody.",
        [
            Change(
                "engines/guest/environment.py", '{"PATH": PATH, "LC_ALL": "C"}', '{"LC_ALL": "C"}'
            ),
            Change(
                "engines/guest/environment.py",
                "sorted(names - TRUSTED.keys())",
                'sorted(names - {"PATH", "LC_ALL"})',
            ),
        ],
        TRUSTED,
        dear=True,
    ),
    Spoiled(
        "guest-inherits",
        "The local engine's guest inherits the harness's environment, as any child process does. "
        "A TAR_OPTIONS in a developer's shell changes the tree that comes back, and a CI's tokens "
        "are one step away from the player.",
        [
            Change("engines/local/guest.py", "import threading\n", "import os\nimport threading\n"),
            Change(
                "engines/local/guest.py",
                "environment={**TRUSTED, GUEST: label}, adopts=adopts",
                "environment={**os.environ, **TRUSTED, GUEST: label}, adopts=adopts",
            ),
        ],
        STARTED,
    ),
    Spoiled(
        "keeper-inherits",
        "The local engine's keeper inherits the harness's environment. It sees all katas, and "
        "finds tar in a PATH that may begin with somebody's folder.",
        [
            Change(
                "engines/local/engine.py",
                'environment={**TRUSTED, GUEST: f"{self._owner}/{volume}"}',
                'environment={**os.environ, GUEST: f"{self._owner}/{volume}"}',
            )
        ],
        STARTED,
        dear=True,
    ),
    Spoiled(
        "session-shared",
        "A run keeps the session keyring of the user who started the harness, as bubblewrap "
        "leaves it. It reads and overwrites that user's keys, such as Kerberos tickets and file "
        "system keys. A filter hides this, where there is one.",
        [
            Change(
                "engines/local/engine.py",
                "        stream = launch(start, group.enter if group else lambda: None)\n",
                "        with ThreadPoolExecutor(1) as alone:\n"
                "            alone.submit(group.enter if group else lambda: None).result()\n"
                "            stream = alone.submit(start).result()\n",
            )
        ],
        "tests/engines/local/test_local.py::test_a_run_has_no_key_of_the_session",
    ),
    Spoiled(
        "no-keyring-of-its-own",
        "A thread that starts a guest joins no keyring. Only a filter of system calls then "
        "protects keys, and not every machine can compile one.",
        [Change("engines/local/launch.py", "            leave_keyring()\n", "")],
        "tests/engines/local/test_launch.py::test_keys_of_the_session_stay_behind",
        dear=True,
    ),
    Spoiled(
        "commands-to-the-terminal",
        "Names, reasons and errors are printed raw, as by `ls` for decades. The name of a "
        "player's file clears the screen, sets the window's title, or types an answer.",
        [
            Change(
                "report/plain.py", "    return _COMMANDS.sub(_written_out, text)", "    return text"
            )
        ],
        "tests/report/test_plain.py::test_a_command_is_written_out_and_not_left_out",
        dear=True,
    ),
    Spoiled(
        "styled-commands-to-the-terminal",
        "Styled text is printed raw, since rich removes what moves the cursor. It does not remove "
        "what sets the colours of everything that follows, or reverses the order of letters.",
        [
            Change(
                "report/plain.py",
                "_shown_text(renderable) if isinstance(renderable, Text) else renderable",
                "renderable",
            )
        ],
        "tests/report/test_plain.py::test_whatever_is_printed_is_shown_so",
        dear=True,
    ),
    Spoiled(
        "set-id-downloaded",
        "A download keeps the modes that a run gave, as tar does. Whoever unpacks it as root gets "
        "a program that runs as root for everybody. This project's first version did so.",
        [
            Change(
                "inside/archive.py",
                'ARCHIVE = (*tarpipe.CREATE, "--mode=ug-s")',
                "ARCHIVE = tarpipe.CREATE",
            )
        ],
        "tests/inside/test_store.py::TestDownload::"
        "test_no_program_in_it_runs_as_somebody_else[folder]",
    ),
)

STARVES = (
    Spoiled(
        "worked-out-by-each-path",
        "Changes are computed with all folders above each path, as for this project's first "
        "seeded containers. A nest of 6000 folders kept a processor and 850 MB busy for minutes, "
        "past every limit.",
        [
            Change(
                "inside/changes.py",
                "            if folder in folders:\n                break\n",
                "",
            )
        ],
        "tests/inside/test_changes.py::test_a_nest_costs_as_much_as_it_has_folders",
    ),
    Spoiled(
        "listing-without-end",
        "A listing of the sandbox is read whatever its length. In a nest of folders each line is "
        "as long as all the names above it, and the harness holds gigabytes of them.",
        [Change("engines/guest/guest.sh", ' | head -c "$argument"', "")],
        "tests/engines/guest/test_sandbox.py::test_a_listing_has_a_bound[local]",
    ),
    Spoiled(
        "holes-packed",
        "The holes of sparse files are packed as zeros, however many there are. A dozen files "
        "that cost a run nothing make an archive of gigabytes, and the presses of the kata wait "
        "for it.",
        [Change("inside/archive.py", "DEEPEST, HOLES):", "DEEPEST, 1 << 62):")],
        "tests/inside/test_store.py::TestRefusals::test_holes_that_fit_in_no_archive",
    ),
    Spoiled(
        "copy-cut-short",
        "A copy closes the pipe as soon as one tar has read the end of the archive. The other "
        "one, which still pads its last record, dies of that, and an ordinary test event is now "
        "and then faulty.",
        [
            Change(
                "inside/tarpipe.py",
                "                for _ in read_chunks(one.stdout):\n                    pass\n",
                "                pass\n",
            )
        ],
        "tests/inside/test_tarpipe.py::test_a_copy_takes_what_comes_after_the_end",
    ),
    Spoiled(
        "removal-half-way",
        "What a crash leaves of a kata that was being removed is finished only when the same kata "
        "is removed again.",
        [
            Change(
                "inside/folder_katas.py",
                "            removal.finish_katas(str(self.root))\n            histories",
                "            histories",
            )
        ],
        "tests/inside/test_removal.py::test_whoever_comes_next_finishes_the_removal_of_a_kata[pack]",
    ),
    Spoiled(
        "hashes-all-that-was-read",
        "Everything that a run may have changed is hashed on both sides, whatever its size. A "
        "thousand sparse files of 511 MB, each read once by the run, kept guest and keeper at "
        "half a terabyte after the run's limit.",
        [Change("runners/seed.py", "        if left < 0:\n            break\n", "")],
        "tests/runners/test_seed.py::test_no_more_is_read_than_a_sandbox_holds",
    ),
    Spoiled(
        "holes-frozen",
        "Freezing files writes out their holes, as `cp` without --sparse does. One file of 511 MB "
        "takes as much of the harness's disk.",
        [Change("katas/spool.py", 'if piece.strip(b"\\0"):', "if True:")],
        "tests/katas/test_visible.py::TestFreeze::test_holes_take_no_room",
    ),
    Spoiled(
        "holes-saved",
        "Saving files writes out their holes. A few keystrokes of a player take 511 MB of the "
        "katas, for each avatar.",
        [Change("inside/saving.py", '    if not piece.strip(b"\\0"):\n', "    if False:\n")],
        "tests/inside/test_saving.py::TestExact::test_holes_take_no_room",
        dear=True,
    ),
    Spoiled(
        "goes-on-alone",
        "A guest does not notice that the other end has gone. The run of a killed harness goes on "
        "for ever, and so does everything that waits for its processor.",
        [
            Change(
                "engines/guest/guest.sh",
                '        watch "${argument%% *}" </dev/null >/dev/null 2>&1 3>&- &\n',
                "        sleep 1000.8 </dev/null >/dev/null 2>&1 3>&- &\n",
            )
        ],
        "tests/engines/local/test_local.py::test_the_guest_of_a_killed_harness_ends_by_itself",
        8.0,
        dear=True,
    ),
    Spoiled(
        "prepares-who-plays",
        "A head start is prepared for an avatar that plays, as for this project's first seeded "
        "containers. The thread waits for the avatar's lock, and four slow avatars delay "
        "everybody's next press by nine seconds.",
        [
            Change(
                "runners/standby.py",
                "if self._closed or self._playing[avatar]:",
                "if self._closed:",
            )
        ],
        "tests/runners/test_standby.py::test_none_is_prepared_for_an_avatar_that_plays",
    ),
    Spoiled(
        "waits-for-who-plays-elsewhere",
        "A thread that prepares waits for an avatar's lock as long as a test event may. An avatar "
        "that another process plays, or that was stopped, takes one of four threads for ten "
        "minutes.",
        [
            Change(
                "runners/katas_data_container.py",
                "self.katas.event(avatar, seconds=PLANTING_SECONDS)",
                "self.katas.event(avatar)",
            )
        ],
        "tests/runners/test_standby.py::"
        "test_a_head_start_gives_up_an_avatar_that_is_played_elsewhere",
        8.0,
        dear=True,
    ),
    Spoiled(
        "waits-for-what-is-queued",
        "A press waits for its head start even if that is only queued, as for this project's "
        "first seeded containers. Behind those of slow avatars it waits longer than a container "
        "takes to start.",
        [Change("runners/standby.py", "if not standing or standing.cancel():", "if not standing:")],
        "tests/runners/test_standby.py::test_a_head_start_that_is_only_queued_is_not_waited_for",
        8.0,
        dear=True,
    ),
    Spoiled(
        "lock-without-a-deadline",
        "A lock is waited for without end, as by flock(1). If a process that holds an avatar is "
        "stopped, by ctrl-Z or a debugger, every press of that avatar hangs and says nothing.",
        [Change("inside/locks.py", "if left <= 0:", "if False:")],
        "tests/inside/test_locks.py::test_a_test_event_waits_no_longer_than_it_may[folder]",
    ),
    Spoiled(
        "one-breaks-the-sum",
        "The first avatar that cannot be read is the answer to what all avatars take of the disk: "
        "one damaged tree hides the others. This project's first version did so.",
        [
            Change(
                "inside/folder_katas.py",
                "            return DiskUsage(0, 0, 0, str(error))\n",
                "            raise error\n",
            )
        ],
        "tests/inside/test_store.py::TestRefusals::"
        "test_one_that_cannot_be_read_is_weighed_as_such[folder-visible]",
        dear=True,
    ),
    Spoiled(
        "one-breaks-the-list",
        "Remains of crashes are repaired before katas are listed, and if that fails nothing is "
        "listed. One avatar whose disk was full hides all the others.",
        [
            Change(
                "inside/folder_katas.py",
                "        journal.settle(str(path.parent), deadline)",
                "        journal.recover(str(path.parent))",
            )
        ],
        "tests/inside/test_store.py::TestRefusals::"
        "test_one_that_cannot_be_read_is_listed_with_the_others[folder]",
    ),
)

LEFT = (
    Spoiled(
        "owner-without-its-namespace",
        "An owner is a process number, whatever its namespace. `harness clean` in a container "
        "takes a live run on the host for an orphan, and removes it. This project's first version "
        "did so.",
        [
            Change(
                "engines/owner.py",
                "if self._pid_namespace() != here._pid_namespace():",
                "if False:",
            )
        ],
        "tests/engines/test_owner.py::test_another_pid_namespace_cannot_tell[its own /proc]",
    ),
    Spoiled(
        "clean-follows-folders",
        "`harness clean` opens entries of a shared temporary folder and follows links. Anybody "
        "who makes a link of the right name lets root remove a folder of their choice.",
        [
            Change(
                "engines/folders.py",
                "_FOLDER = os.O_DIRECTORY | os.O_NOFOLLOW",
                "_FOLDER = os.O_DIRECTORY",
            )
        ],
        f"{TRAPS}[folder-link_to_a_folder]",
    ),
    Spoiled(
        "clean-follows-labels",
        "`harness clean` reads a label through a link. A folder of anybody's choice then has the "
        "label of a dead owner, and is swept.",
        [
            Change(
                "engines/folders.py",
                "_FILE = os.O_NOFOLLOW | os.O_NONBLOCK",
                "_FILE = os.O_NONBLOCK",
            )
        ],
        f"{TRAPS}[folder-link_for_a_label]",
        dear=True,
    ),
    Spoiled(
        "clean-waits-for-a-pipe",
        "`harness clean` opens a label as open(2) does by default. If a named pipe lies there, "
        "root waits until whoever made it writes.",
        [
            Change(
                "engines/folders.py",
                "_FILE = os.O_NOFOLLOW | os.O_NONBLOCK",
                "_FILE = os.O_NOFOLLOW",
            )
        ],
        f"{TRAPS}[folder-pipe_for_a_label]",
        8.0,
        dear=True,
    ),
    Spoiled(
        "label-goes-first",
        "A folder is removed in the order of its entries, its label among the first. A process "
        "that is killed in between leaves the rest, and `harness clean` does not recognise it.",
        [
            Change(
                "engines/folders.py",
                "            os.rename(name, removing, src_dir_fd=self._folder, "
                "dst_dir_fd=self._folder)\n",
                "            os.unlink(LABEL, dir_fd=os.open(name, _FOLDER, dir_fd=self._folder))\n"
                "            removing = name\n",
            )
        ],
        f"{DEATHS}[make_and_remove]",
    ),
    Spoiled(
        "label-comes-last",
        "A folder gets its label only when it is complete. A process that is killed before leaves "
        "something that no sweep recognises.",
        [
            Change(
                "engines/folders.py",
                'making = self.name_under_way("making")',
                'making = f".{secrets.token_hex(4)}"',
            )
        ],
        f"{DEATHS}[use]",
        dear=True,
    ),
    Spoiled(
        "keeper-without-a-label",
        "Keepers carry no label, since they end with their input. A stopped one does not end; it "
        "survives `harness clean`, and holds the avatar's lock for ever.",
        [
            Change(
                "engines/local/engine.py",
                'environment={**TRUSTED, GUEST: f"{self._owner}/{volume}"}',
                "environment={**TRUSTED}",
            )
        ],
        "tests/engines/local/test_local.py::"
        "test_a_keeper_that_is_stopped_is_found_once_its_owner_has_gone",
        dear=True,
    ),
)

DIES = (
    Spoiled(
        "killed-guest-unnoticed",
        "The end of a guest is detected by the end of its output, which the player holds open "
        "too. If the kernel kills a guest for want of memory, this is noticed only at the limit, "
        "and looks like a run that was too long.",
        [
            Change(
                "engines/streams/__init__.py",
                "        self._selector.register(self._end, selectors.EVENT_READ, 0)\n",
                "",
            )
        ],
        "tests/engines/guest/test_sandbox.py::"
        "test_a_guest_that_is_killed_ends_the_test_event_at_once[local]",
        8.0,
        dear=True,
    ),
    Spoiled(
        "loose-objects-go-first",
        "Objects are removed as they are packed, and the pack gets its name last, to save space. "
        "A process that is killed in between has lost the history.",
        [
            Change(
                "inside/repack.py",
                "                made = writer.publish(folder, index)\n",
                "                objects.remove(history, names)\n"
                "                made = writer.publish(folder, index)\n",
            )
        ],
        "tests/inside/test_repack.py::test_a_kill_at_any_step_leaves_what_git_reads",
    ),
    Spoiled(
        "head-start-deletes-for-a-folder",
        "A head start deletes by name what the player no longer has, as it once did in this "
        "project. A file that a run put in the place of an empty folder is deleted with it.",
        [
            Change(
                "runners/seed.py",
                "stat.S_ISDIR(sent[name].mode) and self.listing.kind(name) != NOTHING",
                "False",
            )
        ],
        "tests/runners/test_seed.py::"
        "test_what_a_run_puts_in_the_place_of_an_empty_folder_outlives_it[local]",
        dear=True,
    ),
    Spoiled(
        "head-start-parts-names",
        "A head start sends a file of which only the mode was edited, as it once did in this "
        "project. It arrives as a new file, and its other name keeps the old mode.",
        [
            Change(
                "runners/seed.py",
                "return not any(map(self.listing.has_names, delta.modes))",
                "return True",
            )
        ],
        "tests/runners/test_seed.py::test_a_mode_is_changed_by_all_names_of_a_file[local]",
        dear=True,
    ),
    Spoiled(
        "linked-name-comes-alone",
        "Of what a run left, only changed entries are brought back, as once in this project. A "
        "hard link in a renamed folder becomes a separate file.",
        [
            Change(
                "inside/changes.py",
                "        brought |= {path for path, record in there.items() if "
                "_inode(record) in linked}\n",
                "        pass\n",
            )
        ],
        "tests/inside/test_changes.py::test_a_name_in_a_renamed_folder_brings_the_others",
    ),
    Spoiled(
        "floor-puts-back-as-new",
        "Bare make gets a file that a run removed as a new one, with the stamp of now, as by a "
        "plain copy. It compiles more than a runner does, and each runner looks fast beside it.",
        [
            Change(
                "measure/trials/arms.py",
                "                self.sandbox.unpack(partial(katas.pack, paths=edit.sent))\n",
                "                self.sandbox.unpack(partial(katas.pack, paths=edit.sent))\n"
                '                self.sandbox.execute("touch -- " + " '
                '".join(map(os.fsdecode, edit.sent)), 60)\n',
            ),
            Change("measure/trials/arms.py", "import time\n", "import os\nimport time\n"),
        ],
        "tests/measure/trials/test_arms.py::"
        "test_what_a_run_does_to_a_visible_file_is_for_the_floor_what_it_is_for_a_runner"
        "[rm -f gone]",
        dear=True,
    ),
)

SPOILED = (*REACHES, *STARVES, *LEFT, *DIES, *POWER, *ORDER, *ROOTS)
