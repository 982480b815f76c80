"""An engine of another package is taken by its name, and one that breaks is told in one line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import harness
from harness.cli import main
from harness.engines.choice import choose, engine_names
from harness.engines.doctor.others import plug_in_groups
from harness.inside.errors import UsageError
from tests.support import one_line

MODULE = """
from harness.engines.local.engine import LocalEngine

class Plain(LocalEngine):
    name = "other-plain"

    def __init__(self):
        super().__init__(bubblewrap=False)

    def describe(self):
        return {**super().describe(), "engine": "another's"}

class Misnamed(Plain):
    name = "something-else"

class Nothing:
    name = "other-nothing"

def fails():
    raise RuntimeError("the moon\\nis full")
"""

ENTRY_POINTS = """
[harness.engines]
other-plain = other_engines:Plain
other-misnamed = other_engines:Misnamed
other-nothing = other_engines:Nothing
other-fails = other_engines:fails
other-missing = other_engines:Missing
"""

BROKEN = {
    "other-misnamed": "calls itself something-else",
    "other-nothing": "is no engine: it lacks check_image, close, counts_memory",
    "other-fails": "cannot be opened: the moon is full",
    "other-missing": "cannot be loaded",
}


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package with engines, beside the harness."""
    folder = tmp_path / "site-packages"
    metadata = folder / "other_engines-1.0.dist-info"
    metadata.mkdir(parents=True)
    (folder / "other_engines.py").write_text(MODULE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: other-engines\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("HARNESS_HOME", str(tmp_path / "home"))
    return


def test_it_is_chosen_by_its_name() -> None:
    """It is named with the others, and what it does not isolate is told."""
    assert engine_names()[:4] == ["auto", "docker", "local", "local-plain"]
    assert "other-plain" in engine_names()
    choice = choose("other-plain")
    with closing(choice.engine):
        assert choice.name == "other-plain"
        assert "other_engines:Plain" in choice.why
        assert "NOT ISOLATED" in choice.warning


def test_it_plays() -> None:
    """As any engine: what does not isolate is refused unless it is accepted."""
    files = {"cyber-dojo.sh": "#!/bin/sh\necho played\n"}
    with harness.open_runner("tmp", engine="other-plain", isolated=False) as runner:
        assert runner.run(harness.Avatar(), files).stdout == "played\n"
    with (
        pytest.raises(harness.EngineError, match="no engine isolates"),
        harness.open_runner("tmp", engine="other-plain"),
    ):
        pass


@pytest.mark.parametrize(("name", "said"), BROKEN.items())
def test_one_that_is_broken_is_told_in_one_line(name: str, said: str) -> None:
    """With where it comes from."""
    with pytest.raises(UsageError) as refused:
        choose(name)
    assert said in one_line(refused.value)
    assert f"the engine {name} from other_engines:" in str(refused.value)


def test_an_unknown_name_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    """On the command line too, with exit status 2."""
    with pytest.raises(SystemExit) as ended:
        main(("run", ".", "--engine", "none"))
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "invalid choice: 'none'" in said
    assert "'local-plain', 'other-fails', " in said
    assert "Traceback" not in said


def test_a_broken_one_ends_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cyber-dojo.sh").write_text("#!/bin/sh\n")
    (tmp_path / "cyber-dojo.sh").chmod(0o755)
    assert main(("run", str(tmp_path), "--engine", "other-fails")) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("harness: the engine other-fails from other_engines:fails cannot")


def test_the_doctor_tells_of_each() -> None:
    """What works is told with what follows, and what is broken with the reason."""
    groups = {group.title: group.findings for group in plug_in_groups()}
    (works,) = groups["Engine other-plain, of another package"]
    assert works.state == "fair"
    assert "other_engines:Plain" in works.what
    assert "NOT ISOLATED" in works.follows
    for name, said in BROKEN.items():
        (broken,) = groups[f"Engine {name}, of another package"]
        assert broken.state == "missing"
        assert said in broken.what


def test_clean_passes_over_what_is_broken(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It goes on with the others, and tells what is left once, whoever shares it."""
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert main(("clean", "--dry-run")) == 0
    found = capsys.readouterr()
    for name in BROKEN:
        assert f"skipped: the engine {name} " in " ".join(found.err.split())
    lines = found.out.splitlines()
    assert len(lines) == len(set(lines))
