"""A C project for proofs of incremental builds: its modules and headers, edits, and an oracle.

What must be compiled again follows from the #include lines of the visible files alone, whatever
make says. The compiler is gcc, or a script that does in a millisecond what gcc does for these files
and their dependencies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness.katas.visible import LINK, VisibleFile, VisibleFiles

FILE_SHAPE, LINK_SHAPE, FOLDER_SHAPE = SHAPES = ("file", "link", "folder")

CYBER_DOJO = b"""\
#!/bin/sh
make --silent --keep-going --check-symlink-times program >&2 && ./program
status=$?
[ ! -e hang ] || sleep 1000
exit $status
"""

_MAKEFILE = b"""\
objects = $(patsubst %.c,%.o,$(sort $(wildcard *.c)))
program: $(objects)
\t./cc link $@ $(objects)
%.o: %.c
\t./cc compile $< $@
-include $(wildcard *.d)
"""

SCRIPT = b"""\
#!/bin/sh
# Includes each file once, does the sums, writes the object, and its dependencies as -MMD -MP does.
take() {
    case " $seen " in *" $1 "*) return ;; esac
    seen="$seen $1"
    [ -f "$1" ] || { echo "$1: no such file" >&2; rm -f "$object.new"; exit 1; }
    while IFS= read -r line; do
        case $line in
        '#include "'*) line=${line#*\\"} && take "${line%\\"}" ;;
        'enum { '*)
            line=${line#'enum { '} && line=${line%' };'}
            eval "${line%% *}=\\$((${line#* = }))"
            ;;
        *'return '*) line=${line#*return } && echo "echo $name $((${line%%;*}))" ;;
        esac
    done <"$1"
}
action=$1 && shift
case $action in
compile)
    name=${1%.c} object=$2 seen=
    take "$1" >"$object.new"
    { echo "$object:$seen" && for each in ${seen#" $1"}; do echo "$each:"; done; } >"$name.d.new"
    mv "$name.d.new" "$name.d" && mv "$object.new" "$object"
    ;;
link)
    program=$1 && shift
    { echo "#!/bin/sh" && cat "$@"; } >program.new &&
        chmod +x program.new && mv program.new "$program"
    ;;
esac
"""

GCC = b"""\
#!/bin/sh
action=$1 && shift
case $action in
compile) exec gcc -O0 -MMD -MP -I. -c -o "$2" "$1" ;;
link) program=$1 && shift && exec gcc -o "$program" "$@" ;;
esac
"""


Files: TypeAlias = Mapping[bytes, tuple[bytes, int | None]]
"""Visible files: content, and git's mode, or None for the mode that the content implies."""


@dataclass(frozen=True)
class Unit:
    """A module or a header."""

    # Its own part of its sum.
    number: int
    # Headers.
    includes: tuple[int, ...] = ()
    # Of a header: a file, a symlink to the file, or a folder with the file.
    shape: str = FILE_SHAPE


@dataclass(frozen=True)
class Project:
    """Modules and headers. The program prints the sum of each module.

    A sum is the number of a unit, and the sums of what it includes.
    """

    modules: Mapping[int, Unit] = field(default_factory=lambda: {0: Unit(1, (0,)), 1: Unit(2)})
    headers: Mapping[int, Unit] = field(default_factory=lambda: {0: Unit(3, (1,)), 1: Unit(4)})

    def files(self) -> Files:
        """Return the headers and sources."""
        found: dict[bytes, tuple[bytes, int | None]] = {}
        for key, header in self.headers.items():
            name = b"h%d.h" % key
            content = (
                b"#pragma once\n"
                + self._include(header)
                + b"enum { H%d = %b };\n" % (key, _sum(header))
            )
            if header.shape == LINK_SHAPE:
                found[name] = (b"real-" + name, LINK)
                name = b"real-" + name
            elif header.shape == FOLDER_SHAPE:
                name += b"/all.h"
            found[name] = (content, None)
        for key, module in self.modules.items():
            text = self._include(module) + b"int m%d(void) { return %b; }\n" % (key, _sum(module))
            found[b"m%d.c" % key] = (text, None)
        calls = b"".join(b"int m%d(void);\n" % key for key in sorted(self.modules))
        prints = b"".join(
            b'    printf("m%d %%d\\n", m%d());\n' % (key, key) for key in sorted(self.modules)
        )
        found[b"main.c"] = (
            b"#include <stdio.h>\n" + calls + b"int main(void) {\n" + prints + b"}\n",
            None,
        )
        return found

    def output(self) -> str | None:
        """Return what a program built from nothing prints; None if it cannot be built."""
        try:
            return "".join(
                f"m{key} {self._value(module)}\n" for key, module in sorted(self.modules.items())
            )
        except KeyError:
            return None

    def cyclic(self) -> bool:
        """Whether a header includes itself, directly or not."""
        return any(key in self._below(header) for key, header in self.headers.items())

    def _value(self, unit: Unit) -> int:
        return unit.number + sum(self._value(self.headers[key]) for key in unit.includes)

    def _below(self, unit: Unit) -> set[int]:
        found: set[int] = set()
        waiting = list(unit.includes)
        while waiting:
            key = waiting.pop()
            if key not in found and key in self.headers:
                waiting += self.headers[key].includes
            found.add(key)
        return found

    def _include(self, unit: Unit) -> bytes:
        return b"".join(
            b'#include "h%d.h%b"\n'
            % (
                key,
                b"/all.h"
                if key in self.headers and self.headers[key].shape == FOLDER_SHAPE
                else b"",
            )
            for key in unit.includes
        )


def visible(files: Files, compiler: bytes, *, hang: bool) -> VisibleFiles:
    """Return the visible files to send; with `hang`, the run never ends."""
    all_files = {
        **{name: VisibleFile(content, mode) for name, (content, mode) in files.items()},
        b"cyber-dojo.sh": VisibleFile(CYBER_DOJO),
        b"Makefile": VisibleFile(_MAKEFILE),
        b"cc": VisibleFile(compiler),
    }
    return VisibleFiles(all_files | ({b"hang": VisibleFile(b"")} if hang else {}))


INCLUDE = re.compile(rb'^#include "(.*)"$', re.MULTILINE)


def needs(files: Files, source: bytes) -> frozenset[bytes] | None:
    """Return all files that a build of the source reads; None if one of them is missing."""
    found: set[bytes] = set()
    waiting = [source]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name not in files:
            return None
        found.add(name)
        content, mode = files[name]
        waiting += [content] if mode == LINK else INCLUDE.findall(content)
    return frozenset(found)


@dataclass(frozen=True)
class ProjectEdit:
    """An edit of a project by its player; numbers that do not fit change nothing."""

    # A key of VERBS.
    verb: str
    # Usually the number of a module or header.
    which: int
    value: int

    def apply(self, project: Project) -> tuple[Project, str]:
        """Return the edited project and a description of the edit, which is empty if none fits."""
        edited, words = VERBS[self.verb](project, self.which, self.value)
        return (project, "") if edited == project or edited.cyclic() else (edited, words)


def _set_module(project: Project, which: int, value: int) -> tuple[Project, str]:
    unit = replace(project.modules.get(which, Unit(0)), number=value)
    return replace(project, modules={**project.modules, which: unit}), f"m{which}.c is written"


def _set_header(project: Project, which: int, value: int) -> tuple[Project, str]:
    unit = replace(project.headers.get(which, Unit(0)), number=value)
    return replace(project, headers={**project.headers, which: unit}), f"h{which}.h is written"


def _link_units(project: Project, kind: str, which: int, value: int) -> tuple[Project, str]:
    units: Mapping[int, Unit] = getattr(project, kind)
    if which not in units or value not in project.headers:
        return project, ""
    unit = units[which]
    includes = (
        tuple(key for key in unit.includes if key != value)
        if value in unit.includes
        else (*unit.includes, value)
    )
    verb = "no longer includes" if value in unit.includes else "includes"
    edited = {**units, which: replace(unit, includes=includes)}
    name = f"m{which}.c" if kind == "modules" else f"h{which}.h"
    return replace(project, **{kind: edited}), f"{name} {verb} h{value}.h"


def _module_includes(project: Project, which: int, value: int) -> tuple[Project, str]:
    return _link_units(project, "modules", which, value)


def _header_includes(project: Project, which: int, value: int) -> tuple[Project, str]:
    return _link_units(project, "headers", which, value)


def _delete_module(project: Project, which: int, value: int) -> tuple[Project, str]:
    return replace(project, modules=_without(project.modules, which)), f"m{which}.c is deleted"


def _delete_header(project: Project, which: int, value: int) -> tuple[Project, str]:
    return replace(project, headers=_without(project.headers, which)), f"h{which}.h is deleted"


def _rename_module(project: Project, which: int, value: int) -> tuple[Project, str]:
    if which not in project.modules or value in project.modules:
        return project, ""
    modules = {**_without(project.modules, which), value: project.modules[which]}
    return replace(project, modules=modules), f"m{which}.c is renamed to m{value}.c"


def _rename_header(project: Project, which: int, value: int) -> tuple[Project, str]:
    if which not in project.headers or value in project.headers:
        return project, ""

    def follow(units: Mapping[int, Unit]) -> dict[int, Unit]:
        return {
            key: replace(
                unit, includes=tuple(value if key == which else key for key in unit.includes)
            )
            for key, unit in units.items()
        }

    headers = follow({**_without(project.headers, which), value: project.headers[which]})
    return Project(follow(project.modules), headers), f"h{which}.h is renamed to h{value}.h"


def _shape_header(project: Project, which: int, value: int) -> tuple[Project, str]:
    if which not in project.headers:
        return project, ""
    shape = SHAPES[value % len(SHAPES)]
    headers = {**project.headers, which: replace(project.headers[which], shape=shape)}
    return replace(project, headers=headers), f"h{which}.h becomes a {shape}"


def _without(units: Mapping[int, Unit], which: int) -> dict[int, Unit]:
    return {key: unit for key, unit in units.items() if key != which}


VERBS = {
    "header": _set_header,
    "module": _set_module,
    "module includes": _module_includes,
    "header includes": _header_includes,
    "delete header": _delete_header,
    "delete module": _delete_module,
    "rename header": _rename_header,
    "rename module": _rename_module,
    "shape": _shape_header,
}

EDITS: SearchStrategy[list[ProjectEdit]] = st.lists(
    st.builds(
        ProjectEdit,
        st.sampled_from(sorted(VERBS, key=list(VERBS).index)),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    max_size=3,
)
"""Edits between two test events."""


def _sum(unit: Unit) -> bytes:
    return b" + ".join([b"%d" % unit.number, *(b"H%d" % key for key in unit.includes)])


def sources(files: Mapping[bytes, object]) -> Iterator[bytes]:
    """Return the names of the files that are compiled."""
    return (name for name in files if name.endswith(b".c"))
