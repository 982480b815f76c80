"""What does each granularity of data-container cost the disk? See the README beside this file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from harness import runners
from harness.engines.choice import choose
from harness.inside.layout import Avatar
from harness.inside.usage import DiskUsage
from harness.katas.granular_katas import GranularKatas
from harness.katas.visible import VisibleFiles
from harness.katas.volume_katas import VolumeKatas
from harness.measure.trees import TypicalTree

EDITS = 3

VARIANTS = (
    "katas-data-container",
    "katas-data-container:pipe=one-way",
    "katas-data-container:granularity=kata",
    "katas-data-container:granularity=kata,pipe=one-way",
    "katas-data-container:granularity=kata,pipe=none",
    "katas-data-container:granularity=avatar",
    "katas-overlay",
)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_growth_of_a_test_event(
    name: str, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """Measured on the local engine: the katas hold the same on every engine."""
    tree, variant = TypicalTree("cost=0.1"), runners.parse_variant(name)
    tree.write(tmp_path / "tree")
    files = VisibleFiles.from_folder(tmp_path / "tree")
    usages = []
    with closing(choose("local").engine) as engine, closing(variant.open(engine)) as runner:
        katas = runner.katas
        assert isinstance(katas, VolumeKatas | GranularKatas)
        for number in range(EDITS + 1):
            if number:
                edit = tree.edit(number)
                files = files.edited(edit.path, edit.content)
            assert runner.run(Avatar(), files, max_seconds=120).tag == number + 1
            usages.append(katas.usage()[Avatar().kata][Avatar().name])
    assert usages[-1].visible == sum(file.size for file in files.values())
    assert (usages[-1].extra == 0) == ("one-way" in name)
    figure(
        f"{name}: the first test event takes {show(usages[0], DiskUsage(0, 0, 0))}; "
        f"one after an edit {show(usages[-1], usages[-2])}"
    )


def show(after: DiskUsage, before: DiskUsage) -> str:
    """Describe the growth from `before` to `after`, in bytes."""
    return ", ".join(
        f"{getattr(after, part) - getattr(before, part)} {part}"
        for part in ("visible", "extra", "history")
    )
