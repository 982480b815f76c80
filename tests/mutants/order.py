"""Mistakes in what an edit is, and in what is left out of it, each with the test that refutes
it.
"""

from __future__ import annotations

from tests.mutants.spoiled import Change, Spoiled

EDITS = "tests/runners/test_edits.py::"

ORDER = (
    Spoiled(
        "every-edit-is-newest",
        "Each edit is stamped newest, as once in this project. An object out of a cache hides the "
        "newer source that it was not made from, and the build gives the old answer.",
        [
            Change(
                "inside/stamps.py",
                "    return AgainstTime(older, newer)",
                "    return AgainstTime({}, {})",
            )
        ],
        EDITS + "test_a_product_out_of_a_cache_is_older_than_its_source[katas-volume-local]",
    ),
    Spoiled(
        "touched-source-stays-old",
        "A source that was touched keeps its stamp, since its content did not change. After an "
        "edit that was taken back, the product of that edit is the newer one.",
        [
            Change(
                "inside/stamps.py",
                "    return AgainstTime(older, newer)",
                "    return AgainstTime(older, {})",
            )
        ],
        EDITS + "test_an_edit_that_is_taken_back_counts_where_the_product_was_sent_before"
        "[katas-overlay-local]",
    ),
    Spoiled(
        "clones-are-believed",
        "Stamps count in a folder that was written anew, as by git clone, which stamps files in "
        "the order that it writes them. Half of the tree counts as newer than an edit, and is built.",
        [
            Change(
                "inside/stamps.py",
                "if anew or oldest is None",
                "if oldest is None",
            )
        ],
        EDITS + "test_a_clone_of_what_a_run_formatted_is_an_edit[katas-volume-local]",
        dear=True,
    ),
    Spoiled(
        "built-elsewhere-is-built-here",
        "A stamp ahead of the clock is restored after any run that succeeded, as once in this "
        "project. A run of `tmp` builds the edit in a container that is thrown away; the katas' own "
        "product, which it never built, is then newer than the edit for an hour.",
        [
            Change(
                "inside/folder_event.py",
                "if kept and acceptance.increment.status == 0:",
                "if acceptance.increment.status == 0:",
            )
        ],
        "tests/inside/test_folder_event.py::"
        "test_only_a_run_that_built_in_the_sandbox_puts_a_product_ahead_again[elsewhere]",
    ),
    Spoiled(
        "clones-are-never-newer",
        "In a folder that was written anew, stamps tell nothing at all, as once in this project. An "
        "object out of a cache, older than all that was cloned, hides the sources.",
        [
            Change(
                "inside/stamps.py",
                "        if age < bound:",
                "        if age < bound and not anew:",
            )
        ],
        EDITS + "test_a_product_out_of_a_cache_is_older_than_a_fresh_clone[katas-volume-local]",
    ),
    Spoiled(
        "only-sources-are-newer",
        "An object out of a cache is compared with sources alone, as once in this project. A header "
        "that a run generated is newer than it, and make is not told.",
        [Change("inside/stamps.py", "        elif age < made[name]:", "        elif False:")],
        EDITS
        + "test_a_product_out_of_a_cache_is_older_than_what_a_run_generated[katas-overlay-local]",
    ),
    Spoiled(
        "left-out-is-forgotten",
        "A file that is excluded from now on is dropped from the record, as once in this project. "
        "When the player removes it, it stays in the sandbox for ever.",
        [
            Change(
                "inside/stamps.py",
                "        if name not in deleted\n    }",
                "        if name not in deleted | released\n    }",
            )
        ],
        EDITS + "test_what_is_left_out_and_then_removed_is_gone[katas-data-container-local]",
    ),
    Spoiled(
        "left-out-is-a-source",
        "A file that comes back after it was excluded counts as a source that the player edits. An "
        "older object of the player's own build gives the old answer.",
        [Change("inside/saving.py", "(before is None or before.left_out)", "(before is None)")],
        EDITS
        + "test_what_is_left_out_and_changed_meanwhile_comes_back_as_a_product[katas-volume-local]",
    ),
    Spoiled(
        "an-edit-stamps-its-folder",
        "Replacing a file gives its folder a new stamp, as rename(2) does. Where the folder is a "
        "target, make takes it for built.",
        [
            Change(
                "inside/saving.py",
                "        os.utime(folder, ns=(before_ns, before_ns))\n",
                "",
            )
        ],
        EDITS + "test_an_edit_of_a_file_is_no_edit_of_its_folder[katas-volume-local]",
    ),
    Spoiled(
        "left-out-is-deleted",
        "A file that is excluded from now on counts as deleted, as once in this project. What the "
        "run made of it goes, and a press with no edit builds it again.",
        [Change("katas/visible.py", "if _is_in(name, left_out)}", "if False}")],
        EDITS + "test_what_is_left_out_from_now_on_stays_as_the_run_made_it[katas-volume-local]",
    ),
    Spoiled(
        "products-outlive-their-folder",
        "What runs made in a folder stays when the player removes the folder, as once in this "
        "project. A glob of the build finds a folder that is gone in place.",
        [
            Change(
                "inside/saving.py",
                "if path in delta.removed:",
                "if False:",
            )
        ],
        EDITS + "test_a_folder_that_the_player_removed_takes_the_products_in_it_along"
        "[katas-volume-local-moved]",
        dear=True,
    ),
    Spoiled(
        "gitignore-from-here-on",
        "Only the .gitignore files below the folder are read, as once in this project. A secret "
        "that the repository's own .gitignore names is sent.",
        [
            Change(
                "katas/gather.py",
                "top = top_of_repository(self._top) or self._top",
                "top = self._top",
            )
        ],
        "tests/katas/test_visible.py::TestFromFolder::"
        "test_a_folder_of_a_repository_is_read_as_git_reads_it",
    ),
    Spoiled(
        "player-s-folders-are-followed",
        "On the way to a visible file, a folder that was swapped for a symlink is entered, as once "
        "in this project. A player's process brings the host's files into the run.",
        [
            Change(
                "katas/players_folder.py",
                "flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW",
                "flags = os.O_PATH | os.O_DIRECTORY",
            )
        ],
        "tests/katas/test_swaps.py::test_a_folder_swapped_since_then_holds_nothing[sub]",
    ),
    Spoiled(
        "zombie-leaders-are-dead",
        "The guest takes a process for ended if its State is zombie. One whose first thread has "
        "ended goes on with the others, and changes the tree while it is packed.",
        [Change("engines/docker/sweeping.py", "[ZX][01]) ;;", "[ZX]*) ;;")],
        "tests/engines/docker/test_sweep.py::"
        "test_a_process_whose_first_thread_has_ended_is_found_and_killed",
    ),
    Spoiled(
        "hard-links-without-bound",
        "The names of all hard links are kept for the next press, however many a run made. A run "
        "of ten seconds costs the keeper gigabytes, at every press from then on.",
        [
            Change(
                "inside/layer_list.py",
                "    if left < len(path):",
                "    if False:",
            )
        ],
        "tests/inside/test_layered.py::test_the_names_of_hard_links_are_bounded[in two]",
    ),
)
