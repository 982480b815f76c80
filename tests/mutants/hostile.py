"""Mistakes in the trusted code that hostile runs and dying machines make use of, and the test that refutes each."""

from __future__ import annotations

from tests.mutants.power import POWER
from tests.mutants.spoiled import Change, Spoiled

FOLDERS = "tests/engines/test_folders.py"
TRAPS = f"{FOLDERS}::test_what_is_no_folder_with_a_plain_label_is_left_alone"
DEATHS = f"{FOLDERS}::test_whoever_dies_while_a_folder_is_made_or_removed_it_is_found"
TRUSTED = "tests/engines/test_environment.py::test_what_is_trusted_has_nothing_of_the_image"
STARTED = "tests/engines/test_local.py::test_what_the_harness_was_started_with_rules_nothing_that_is_trusted"


def left_to_an_image(name: str, words: str) -> Spoiled:
    """This variable of an image reaches the first process of a container."""
    old = 'names = {each.partition("=")[0] for each in variables}'
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
        "A tree is handed over to the player by paths that are put together, as `chown -R` and this project's first "
        "version did: a team mate's run swaps a folder for a symlink meanwhile, and 300 of 300 files of the host became "
        "nobody's.",
        [
            Change(
                "inside/saving.py",
                "_give(met, owner, folders=False, names=names)",
                "_give(sandbox, met, owner, folders=False, names=names)",
            ),
            Change(
                "inside/saving.py",
                "_give(met, owner, folders=True, names=names)",
                "_give(sandbox, met, owner, folders=True, names=names)",
            ),
            Change("inside/saving.py", "def _give(met: Met,", "def _give(sandbox: str, met: Met,"),
            Change(
                "inside/saving.py",
                "hold(met.name, parent=met.parent)",
                "hold(os.path.join(os.fsencode(sandbox), met.path))",
            ),
        ],
        "tests/katas/test_saving.py::TestOwner::test_a_folder_that_is_swapped_meanwhile_leads_nowhere",
    ),
    Spoiled(
        "variables-of-the-image",
        "What is trusted in a container gets an image's variables beside its own, as `docker exec` and `docker run -e` "
        "give them: with LD_LIBRARY_PATH ending in a colon the player's library runs as root.",
        [Change("engines/guest/environment.py", ", *sorted(names - TRUSTED.keys())]", "]")],
        TRUSTED,
    ),
    left_to_an_image(
        "LD_LIBRARY_PATH",
        "Of an image's variables PATH is taken away, and not LD_LIBRARY_PATH: an empty entry in it is the folder that a "
        "program is in, so that `cat` of the system loads what a player compiled, and runs it as root.",
    ),
    left_to_an_image(
        "BASH_ENV",
        "Of an image's variables those of the dynamic linker are taken away, and not BASH_ENV: each shell script of the "
        "harness's begins with what it names, where an image's sh is bash or one of its tools is a script.",
    ),
    left_to_an_image(
        "TAR_OPTIONS",
        "Of an image's variables those that name programs are taken away, and not TAR_OPTIONS: an image that sets "
        "`--mtime` or `--touch` there has each build begin anew, and `--to-command` runs as root.",
    ),
    Spoiled(
        "path-of-the-image",
        "Tools of the guest are looked for in the image's PATH, as this project's first version did: where it begins with "
        "`.`, the player's own `cat` runs as root with the capability to become anybody.",
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
        "The local engine's guest inherits what the harness was started with, as any child process does: a TAR_OPTIONS of "
        "a developer's shell changes what comes back of a tree, and tokens of a CI are a step away from the player.",
        [
            Change(
                "engines/local/engine.py",
                "environment={**TRUSTED, GUEST: label}, adopts=adopts",
                "environment={**os.environ, **TRUSTED, GUEST: label}, adopts=adopts",
            )
        ],
        STARTED,
    ),
    Spoiled(
        "keeper-inherits",
        "The local engine's keeper inherits what the harness was started with: it looks for tar in a PATH that begins "
        "with a folder of somebody's, and sees all katas.",
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
        "A run keeps the session keyring of who started the harness, as bubblewrap leaves it: it reads and overwrites the "
        "keys of whoever pressed, Kerberos tickets and file system keys among them. The filter hides that, where there is "
        "one.",
        [
            Change(
                "engines/local/engine.py",
                "        stream = launch(start, group.enter if group else lambda: None)\n",
                "        with ThreadPoolExecutor(1) as alone:\n"
                "            alone.submit(group.enter if group else lambda: None).result()\n"
                "            stream = alone.submit(start).result()\n",
            )
        ],
        "tests/engines/test_local.py::test_a_run_has_no_key_of_the_session",
    ),
    Spoiled(
        "no-keyring-of-its-own",
        "A thread that starts a guest joins no keyring: all that is said of keys depends on a filter of system calls "
        "then, which not every machine can compile.",
        [Change("engines/local/launch.py", "            leave_keyring()\n", "")],
        "tests/engines/test_launch.py::test_keys_of_the_session_stay_behind",
        dear=True,
    ),
    Spoiled(
        "commands-to-the-terminal",
        "Names, reasons and errors are printed as they are, as `ls` did for decades: one of a player's file clears the "
        "screen, sets the window's title, or types an answer.",
        [
            Change(
                "report/plain.py", "    return _COMMANDS.sub(_written_out, text)", "    return text"
            )
        ],
        "tests/render/test_plain.py::test_a_command_is_written_out_and_not_left_out",
        dear=True,
    ),
    Spoiled(
        "styled-commands-to-the-terminal",
        "What has a style is printed as it is, since rich leaves out what moves the cursor: it does not leave out what "
        "sets the colours of all that follows, nor what turns the order of letters.",
        [
            Change(
                "report/plain.py",
                "_shown_text(renderable) if isinstance(renderable, Text) else renderable",
                "renderable",
            )
        ],
        "tests/render/test_plain.py::test_whatever_is_printed_is_shown_so",
        dear=True,
    ),
    Spoiled(
        "set-id-downloaded",
        "A download has the modes that a run gave, as tar keeps them: who unpacks it as root has a program that is root's "
        "for whoever starts it. This project's first version did so.",
        [
            Change(
                "inside/archive.py",
                'ARCHIVE = (*tarpipe.CREATE, "--mode=ug-s")',
                "ARCHIVE = tarpipe.CREATE",
            )
        ],
        "tests/katas/test_store.py::TestDownload::test_no_program_in_it_runs_as_somebody_else[folder]",
    ),
)

STARVES = (
    Spoiled(
        "worked-out-by-each-path",
        "What changed is worked out with all folders above each path, as this project did for its first seeded "
        "containers: a nest of 6000 folders kept a processor and 850 MB busy for minutes, past every limit.",
        [
            Change(
                "inside/changes.py",
                "            if folder in folders:\n                break\n",
                "",
            )
        ],
        "tests/test_changes.py::test_a_nest_costs_as_much_as_it_has_folders",
    ),
    Spoiled(
        "listing-without-end",
        "A listing of the sandbox is taken however long it is: in a nest of folders each line is as long as all above it "
        "together, and the harness holds gigabytes of them.",
        [Change("engines/guest/guest.sh", ' | head -c "$argument"', "")],
        "tests/engines/test_sandbox.py::test_a_listing_has_a_bound[local]",
    ),
    Spoiled(
        "holes-packed",
        "The holes of sparse files are packed as zeros, however many there are: a dozen files that cost a run nothing make an "
        "archive of gigabytes, and the kata's presses wait for it.",
        [Change("inside/archive.py", "DEEPEST, HOLES):", "DEEPEST, 1 << 62):")],
        "tests/katas/test_store.py::TestRefusals::test_holes_that_fit_in_no_archive",
    ),
    Spoiled(
        "copy-cut-short",
        "A copy closes the pipe as soon as one tar has read the end of the archive: the other, which still fills its last "
        "record, dies of it, and an ordinary test event is called faulty now and then.",
        [
            Change(
                "inside/tarpipe.py",
                "                for _ in read_chunks(one.stdout):\n                    pass\n",
                "                pass\n",
            )
        ],
        "tests/test_tarpipe.py::test_a_copy_takes_what_comes_after_the_end",
    ),
    Spoiled(
        "removal-half-way",
        "What a crash has left of a kata that was being removed is looked for by nobody but who removes the same kata again.",
        [
            Change(
                "inside/folder_katas.py",
                "            removal.finish_katas(str(self.root))\n            histories",
                "            histories",
            )
        ],
        "tests/katas/test_removal.py::test_whoever_comes_next_finishes_the_removal_of_a_kata[pack]",
    ),
    Spoiled(
        "hashes-all-that-was-read",
        "All that a run may have changed is hashed on both sides, however much it is: a thousand sparse files of 511 MB, "
        "each read once by the run, kept guest and keeper at half a terabyte after the run's limit.",
        [Change("runners/seed.py", "        if left < 0:\n            break\n", "")],
        "tests/runners/test_seed.py::test_no_more_is_read_than_a_sandbox_holds",
    ),
    Spoiled(
        "holes-frozen",
        "The holes of a sparse file are written out where files are frozen, as `cp` without --sparse does: one of 511 MB "
        "takes as much of the harness's disk.",
        [Change("katas/spool.py", 'if piece.strip(b"\\0"):', "if True:")],
        "tests/katas/test_visible.py::TestFreeze::test_holes_take_no_room",
    ),
    Spoiled(
        "holes-saved",
        "The holes of a sparse file are written out where it is saved: a few keystrokes of a player take 511 MB of the "
        "katas, for each avatar.",
        [Change("inside/saving.py", '    if not piece.strip(b"\\0"):\n', "    if False:\n")],
        "tests/katas/test_saving.py::TestExact::test_holes_take_no_room",
        dear=True,
    ),
    Spoiled(
        "goes-on-alone",
        "A guest does not mind that nobody is left at the other end: the run of a harness that was killed goes on for "
        "ever, and so does all that waits for its processor.",
        [
            Change(
                "engines/guest/guest.sh",
                '        watch "${argument%% *}" </dev/null >/dev/null 2>&1 3>&- &\n',
                "        sleep 1000.8 </dev/null >/dev/null 2>&1 3>&- &\n",
            )
        ],
        "tests/engines/test_local.py::test_the_guest_of_a_killed_harness_ends_by_itself",
        8.0,
        dear=True,
    ),
    Spoiled(
        "prepares-who-plays",
        "A head start is prepared for an avatar that plays, as this project did for its first seeded containers: the "
        "thread waits for its lock, and four slow avatars hold up everybody's next press for nine seconds.",
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
        "A thread that prepares waits for an avatar's lock for as long as a test event may: one that another process "
        "plays, or that was stopped, takes one of four threads for ten minutes.",
        [
            Change(
                "runners/katas_data_container.py",
                "self.katas.event(avatar, seconds=PLANTING_SECONDS)",
                "self.katas.event(avatar)",
            )
        ],
        "tests/runners/test_standby.py::test_a_head_start_gives_up_an_avatar_that_is_played_elsewhere",
        8.0,
        dear=True,
    ),
    Spoiled(
        "waits-for-what-is-queued",
        "A press waits for its head start whether that is under way or only queued, as this project did for its first "
        "seeded containers: behind those of slow avatars it waits longer than a container takes to start.",
        [Change("runners/standby.py", "if not found or found.cancel():", "if not found:")],
        "tests/runners/test_standby.py::test_a_head_start_that_is_only_queued_is_not_waited_for",
        8.0,
        dear=True,
    ),
    Spoiled(
        "lock-without-a-deadline",
        "A lock is waited for as flock(1) waits, for ever: a process that holds an avatar and was stopped, by ctrl-Z or a "
        "debugger, has every press of it hang, and says nothing.",
        [Change("inside/locks.py", "if left <= 0:", "if False:")],
        "tests/katas/test_locks.py::test_a_test_event_waits_no_longer_than_it_may[folder]",
    ),
    Spoiled(
        "one-breaks-the-sum",
        "What avatars take of the disk is asked of all at once, and the first that cannot be read is the answer: one "
        "damaged tree hides what everybody else's take. This project's first version did so.",
        [
            Change(
                "inside/folder_katas.py",
                "            return DiskUsage(0, 0, 0, str(error))\n",
                "            raise error\n",
            )
        ],
        "tests/katas/test_store.py::TestRefusals::test_one_that_cannot_be_read_is_weighed_as_such[folder-visible]",
        dear=True,
    ),
    Spoiled(
        "one-breaks-the-list",
        "What crashes left is put right before katas are listed, and where that fails nothing is listed: one avatar whose "
        "disk was full hides all the others.",
        [
            Change(
                "inside/folder_katas.py",
                "        journal.settle(str(path.parent), deadline)",
                "        journal.recover(str(path.parent))",
            )
        ],
        "tests/katas/test_store.py::TestRefusals::test_one_that_cannot_be_read_is_listed_with_the_others[folder]",
    ),
)

LEFT = (
    Spoiled(
        "owner-without-its-namespace",
        "An owner is a number of a process, whatever namespace it is one of: `harness clean` in a container takes what a "
        "live run on its host has for an orphan, and removes it. This project's first version did so.",
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
        "`harness clean` opens what lies in a shared temporary folder and follows links: whoever makes one of the right "
        "name has root remove a folder of its choice.",
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
        "`harness clean` reads a label through a link: a folder of anybody's choice has the label of an owner that has "
        "gone, and is swept.",
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
        "`harness clean` opens a label as open(2) does by default: in place of one lies a named pipe, and root waits for "
        "whoever made it to write.",
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
        "A folder is removed as it is walked through, its label with the first files: whoever is killed in the middle "
        "leaves the rest, and `harness clean` calls it nothing.",
        [
            Change(
                "engines/folders.py",
                "            os.rename(name, removing, src_dir_fd=self._folder, dst_dir_fd=self._folder)\n",
                "            os.unlink(LABEL, dir_fd=os.open(name, _FOLDER, dir_fd=self._folder))\n"
                "            removing = name\n",
            )
        ],
        f"{DEATHS}[make_and_remove]",
    ),
    Spoiled(
        "label-comes-last",
        "A folder that is being made says nowhere whose it is until all is in it: whoever is killed before leaves what no "
        "sweep knows.",
        [
            Change(
                "engines/folders.py",
                'making = self._under_way("making")',
                'making = f".{secrets.token_hex(4)}"',
            )
        ],
        f"{DEATHS}[use]",
        dear=True,
    ),
    Spoiled(
        "keeper-without-a-label",
        "Keepers carry no label, since they end with their input: one that was stopped does not, survives `harness "
        "clean`, and holds the avatar's lock for ever.",
        [
            Change(
                "engines/local/engine.py",
                'environment={**TRUSTED, GUEST: f"{self._owner}/{volume}"}',
                "environment={**TRUSTED}",
            )
        ],
        "tests/engines/test_local.py::test_a_keeper_that_is_stopped_is_found_once_its_owner_has_gone",
        dear=True,
    ),
)

DIES = (
    Spoiled(
        "killed-guest-unnoticed",
        "That a guest has ended is told by the end of its output, which the player holds open too: one that the kernel "
        "killed for want of memory is noticed at the limit, and taken for a run that was too long.",
        [
            Change(
                "engines/streams/__init__.py",
                "        self._selector.register(self._end, selectors.EVENT_READ, 0)\n",
                "",
            )
        ],
        "tests/engines/test_sandbox.py::test_a_guest_that_is_killed_ends_the_test_event_at_once[local]",
        8.0,
        dear=True,
    ),
    Spoiled(
        "loose-objects-go-first",
        "Objects are removed as they are packed, and the pack gets its name in the end, to save room: whoever is killed "
        "in between has lost the history.",
        [
            Change(
                "inside/repack.py",
                "                made = writer.publish(folder, index)\n",
                "                objects.remove(history, names)\n                made = writer.publish(folder, index)\n",
            )
        ],
        "tests/katas/test_repack.py::test_a_kill_at_any_step_leaves_what_git_reads",
    ),
    Spoiled(
        "head-start-deletes-for-a-folder",
        "A head start deletes by name what the player no longer has, as this project did: a file that a run had put in "
        "the place of an empty folder goes with the folder.",
        [
            Change(
                "runners/seed.py",
                "stat.S_ISDIR(sent[name].mode) and self.listing.kind(name) != NOTHING",
                "False",
            )
        ],
        "tests/runners/test_seed.py::test_what_a_run_puts_in_the_place_of_an_empty_folder_outlives_it[local]",
        dear=True,
    ),
    Spoiled(
        "head-start-parts-names",
        "A head start sends a file whose mode alone was edited, as this project did: it comes as another file, and its other "
        "name keeps the old mode.",
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
        "Of what a run left only what is another entry than before is brought back, as this project did: a hard link in a "
        "folder that was renamed becomes a file of its own.",
        [
            Change(
                "inside/changes.py",
                "        brought |= {path for path, record in there.items() if _inode(record) in linked}\n",
                "        pass\n",
            )
        ],
        "tests/test_changes.py::test_a_name_in_a_renamed_folder_brings_the_others",
    ),
    Spoiled(
        "floor-puts-back-as-new",
        "What a run took away is put back for bare make as a new file, with the stamp of now, as a plain copy does: it "
        "compiles more than a runner does, and each runner looks fast beside it.",
        [
            Change(
                "measure/trials/arms.py",
                "                self.sandbox.unpack(partial(katas.pack, paths=edit.sent))\n",
                "                self.sandbox.unpack(partial(katas.pack, paths=edit.sent))\n"
                '                self.sandbox.execute("touch -- " + " ".join(map(os.fsdecode, edit.sent)), 60)\n',
            ),
            Change("measure/trials/arms.py", "import time\n", "import os\nimport time\n"),
        ],
        "tests/trials/test_arms.py::test_what_a_run_does_to_a_visible_file_is_for_the_floor_what_it_is_for_a_runner[rm -f gone]",
        dear=True,
    ),
)

SPOILED = (*REACHES, *STARVES, *LEFT, *DIES, *POWER)
