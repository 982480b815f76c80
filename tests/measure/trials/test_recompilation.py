"""How many files were compiled is right, or nobody says it."""

from __future__ import annotations

import pytest

from harness.inside.tree import Entry
from harness.measure.trials.recompilation import count_recompiled


def tree(*paths: str, stamp: int = 1) -> dict[bytes, Entry]:
    return {each.encode(): Entry("f", 0o644, 1, stamp) for each in paths}


C = tree("a.c", "a.o", "b.c", "b.o", "prog")


def test_a_source_counts_whose_object_is_new_or_has_another_stamp() -> None:
    """Not the program, nor objects that were left alone."""
    assert count_recompiled(C, C) == 0
    assert count_recompiled(C, C | tree("a.o", "prog", stamp=2)) == 1
    assert count_recompiled(tree("a.c", "b.c"), C) == 2
    assert count_recompiled(C | tree("c.c"), C | tree("c.c", "c.o")) == 1


@pytest.mark.parametrize(
    "before",
    [
        tree("Main.java", "Main.class"),
        tree("main.ts", "main.js"),
        tree("go.mod", "main.go", "prog"),
        tree("main.c", "Makefile"),
        {},
    ],
)
def test_a_build_without_object_files_is_not_counted(before: dict[bytes, Entry]) -> None:
    """Neither as 0 nor as anything else."""
    assert count_recompiled(before, before | tree("Main.class", "main.js", "prog", stamp=2)) is None


def test_a_crate_that_is_cut_into_units_is_not_counted() -> None:
    """Cargo makes nine object files of one source, and none of them has its name; a C file beside
    it changes nothing of that.
    """
    units = [f"target/debug/incremental/hello-1/s-2/{each}xq.o" for each in range(5)]
    units += [f"target/debug/deps/hello-9f.{each}.hello.7a-cgu.{each}.rcgu.o" for each in range(4)]
    crate = tree("Cargo.toml", "src/main.rs")
    assert count_recompiled(crate, crate | tree(*units)) is None
    assert count_recompiled(crate | tree(*units), crate | tree(*units)) is None
    mixed = crate | tree("c/x.c", "target/out/x.o")
    assert count_recompiled(mixed | tree(*units), mixed | tree(*units, stamp=2)) is None


@pytest.mark.parametrize(
    ("source", "objects"),
    [
        ("src/a.c", ["obj/a.o"]),
        ("a.cpp", ["CMakeFiles/prog.dir/a.cpp.o"]),
        ("a.c", ["a.o", ".libs/a.o"]),
        ("a.c", ["prog-a.o", "lib_la-a.o"]),
        ("a.c", ["a.pic.o", "debug/a.o", "release/a.o"]),
        ("Data/List.hs", ["dist/Data/List.o"]),
        ("parse.tab.c", ["parse.tab.o"]),
    ],
)
def test_a_source_counts_once_however_its_objects_are_called(
    source: str, objects: list[str]
) -> None:
    """Wherever they lie, and however many are made of it."""
    assert count_recompiled(tree(source), tree(source, *objects)) == 1


def test_sources_of_one_name_are_told_apart_by_their_folders() -> None:
    """Where the folders do not tell, each object is one."""
    both = tree("src/one/util.c", "src/two/util.c")
    assert count_recompiled(both, both | tree("obj/one/util.o", "obj/two/util.o")) == 2
    assert count_recompiled(both, both | tree("obj/one/util.o", "obj/one/util.pic.o")) == 1
    assert count_recompiled(both, both | tree("x/util.o", "y/util.o")) == 2


def test_an_object_of_no_source_makes_the_count_unknown() -> None:
    """A partial link looks like a file that was compiled."""
    assert count_recompiled(C, C | tree("a.o", "built-in.o", stamp=2)) is None
    assert (
        count_recompiled(C | tree("built-in.o"), C | tree("built-in.o") | tree("a.o", stamp=2)) == 1
    )
