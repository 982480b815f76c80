"""harness gate as a user types it: on recorded results, and measuring on the local engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

from harness.cli import main
from harness.engines.local import cgroups
from harness.measure.results import ResultFile, read_result
from harness.measure.trials.sample import Sample
from tests.gate.figures import PIPE, blocks

FACTS = {
    "engine": {"engine": "local, bubblewrap", "storage driver": "none", "kernel": "6"},
    "tree": "typical",
    "command": "./cyber-dojo.sh",
    "machine": "0",
    "machines": {},
    "runners": [PIPE, "katas-volume"],
}

Record = Callable[..., str]


@pytest.fixture
def record(tmp_path: Path) -> Record:
    """Writes a result with these samples; returns its path."""

    def write(name: str, samples: list[Sample], **facts: object) -> str:
        with ResultFile(tmp_path / name, {**FACTS, **facts}) as result:
            for each in samples:
                result.add(each)
        return str(tmp_path / name)

    return write


@pytest.fixture
def budget(tmp_path: Path) -> Callable[[str], str]:
    """Writes budgets for the data-container's incremental builds; returns the path."""

    def write(text: str) -> str:
        (tmp_path / "budgets.toml").write_text(f"[{PIPE}.incremental]\n{text}\n")
        return str(tmp_path / "budgets.toml")

    return write


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of exit status 2."""
    capsys.readouterr()
    assert main(("gate", *arguments)) == 2
    (line,) = [
        each for each in capsys.readouterr().err.splitlines() if each.startswith("harness: ")
    ]
    return line


@pytest.mark.parametrize(("limit", "status"), [(1.4, 0), (1.1, 1), (1.25, 3)])
def test_a_recorded_result_is_judged(
    limit: float,
    status: int,
    record: Record,
    budget: Callable[[str], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The exit status, and every view of the one verdict, say the same."""
    result = record("r.jsonl", blocks({"katas-volume": 4.0, PIPE: 5.0}))
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    views = [str(tmp_path / name) for name in ("j.xml", "m.md", "v.json")]
    given = ("--junit", views[0], "--markdown", views[1], "--json", views[2], "--github")
    budgets = budget(f'seconds = "at most {limit} times katas-volume"')
    assert main(("gate", result, "--budgets", budgets, *given)) == status
    word = {0: "passed", 1: "regressed", 3: "inconclusive"}[status]
    out = capsys.readouterr().out
    assert word in out
    assert {0: "::notice", 1: "::error", 3: "::warning"}[status] in out
    root = xml.parse(views[0]).getroot()
    assert (root.attrib["failures"], root.attrib["errors"]) == (
        str(int(status == 1)),
        str(int(status == 3)),
    )
    assert word in Path(views[1]).read_text()
    assert json.loads(Path(views[2]).read_text())["exit_status"] == status
    assert summary.read_text() == "before\n" + Path(views[1]).read_text()


def test_a_baseline(
    record: Record, budget: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """By ratios to bare make: passed on a machine that is slower by far; one that is unlike is said
    to be.
    """
    budgets = budget('seconds = "at most 10 % above the baseline"')
    before = record("before.jsonl", blocks({PIPE: 5.0}))
    now = record("now.jsonl", blocks({PIPE: 5.0}, seed=2), machine="1", processors=64)
    assert main(("gate", now, "--budgets", budgets, "--baseline", before)) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "its machine is 0, that of" in out
    assert "only ratios to bare make are compared" in out
    slower = record("slower.jsonl", blocks({PIPE: 6.5}, seed=2))
    assert main(("gate", slower, "--budgets", budgets, "--baseline", before)) == 1


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"tree": "lua"}, "its tree is typical"),
        (
            {"engine": {"engine": "docker 26.1", "storage driver": "none", "kernel": "6"}},
            "its engine is local",
        ),
        (
            {"engine": {**FACTS["engine"], "storage driver": "overlay2"}},
            "its storage driver is none",
        ),  # type: ignore[dict-item]
    ],
)
def test_a_baseline_that_says_nothing_is_refused(
    facts: dict[str, object],
    said: str,
    record: Record,
    budget: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """No ratio evens out another tree, another engine or another storage driver."""
    budgets = budget('seconds = "at most 10 % above the baseline"')
    before = record("before.jsonl", blocks({PIPE: 5.0}))
    now = record("now.jsonl", blocks({PIPE: 5.0}), **facts)
    line = refused(capsys, now, "--budgets", budgets, "--baseline", before)
    assert said in line
    assert "--against" in line


def test_what_cannot_be_judged_is_refused(
    record: Record, budget: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, before anything is measured."""
    result = record("r.jsonl", blocks({PIPE: 5.0}))
    good = budget('seconds = "at most 2 times bare-make"')
    assert "give --budgets FILE" in refused(capsys, result)
    mixed = record(
        "mixed.jsonl", [*blocks({PIPE: 5.0}, 2), *blocks({PIPE: 5.0}, 2, first=2, avatars=8)]
    )
    assert "mixes 2 sizes of tree or numbers of avatars" in refused(
        capsys, mixed, "--budgets", good
    )
    assert "give --budgets FILE, or --against" in refused(capsys)
    assert "cannot be read" in refused(capsys, str(tmp_path / "none.jsonl"), "--budgets", good)
    assert "leave out the results" in refused(capsys, result, "--against", "tmp")
    assert "leave out --baseline" in refused(capsys, "--against", "tmp", "--baseline", result)
    assert "cannot be written" in refused(
        capsys, result, "--budgets", good, "--junit", "/none/j.xml"
    )
    assert "not a git revision here" in refused(
        capsys, "--against", "no-such-thing", "--engine", "local"
    )
    assert "is the runner itself" in refused(capsys, "--against", PIPE, "--engine", "local")
    assert "there is no runner none" in refused(capsys, "--against", "tmp", "--runner", "none")
    (tmp_path / "foreign.toml").write_text('[none.full]\nrecompiled = "exactly 1"\n')
    foreign = str(tmp_path / "foreign.toml")
    assert "there is no runner none" in refused(capsys, "--budgets", foreign, "--engine", "local")
    (tmp_path / "other.toml").write_text('[tmp.full]\nseconds = "at most 5 % above the baseline"\n')
    other = ("--budgets", str(tmp_path / "other.toml"))
    assert "give --runner tmp" in refused(
        capsys, *other, "--against", "katas-volume", "--engine", "local"
    )


def test_a_view_is_not_written_over_what_is_read(
    record: Record, budget: Callable[[str], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor over another view; and a summary that cannot be written is told by the name that the user
    knows.
    """
    result = record("r.jsonl", blocks({PIPE: 5.0}))
    before = Path(result).read_text()
    given = (result, "--budgets", budget('seconds = "at most 2 times bare-make"'))
    for view in ("--junit", "--markdown", "--json"):
        assert "would be overwritten" in refused(capsys, *given, view, result)
    one = str(tmp_path / "one")
    assert "would be overwritten" in refused(capsys, *given, "--junit", one, "--json", one)
    assert Path(result).read_text() == before
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_STEP_SUMMARY", "/none/summary.md")
        assert "GITHUB_STEP_SUMMARY names it" in refused(capsys, *given, "--github")


def test_a_run_does_not_count_twice(
    record: Record, budget: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """However its file is named: twice the blocks would make any verdict surer than it is."""
    one = record("one.jsonl", blocks({PIPE: 5.0}), created="then")
    copied = record("copy.jsonl", blocks({PIPE: 5.0}), created="then")
    budgets = budget('seconds = "at most 2 times bare-make"')
    assert "the same run" in refused(capsys, one, copied, "--budgets", budgets)
    assert "the same run" in refused(capsys, one, one, "--budgets", budgets)


def test_what_cannot_be_answered_is_refused_before_it_is_measured(
    record: Record,
    budget: Callable[[str], str],
    tree: tuple[str, ...],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not ten minutes later."""
    assert "--against is empty" in refused(capsys, "--against", "", *tree)
    above = ("--budgets", budget('seconds = "at most 5 % above the baseline"'))
    assert "there is no baseline" in refused(capsys, *above, *tree)
    assert "cannot be read" in refused(capsys, *above, "--baseline", str(tmp_path / "none"), *tree)
    unlike = record("unlike.jsonl", blocks({PIPE: 5.0}))
    assert "its tree is typical" in refused(capsys, *above, "--baseline", unlike, *tree)
    with monkeypatch.context() as without:
        without.setattr(cgroups, "cgroup_problem", lambda: "not here")
        line = refused(capsys, "--budgets", budget('memory = "at most 60 MB"'), *tree)
    assert "the local engine cannot count memory here" in line
    assert "not bounded together (not here)" in line
    (tmp_path / "typo.toml").write_text('[katas-data-contaner.full]\nrecompiled = "exactly 1"\n')
    line = refused(capsys, "--budgets", str(tmp_path / "typo.toml"), *tree)
    assert "typo.toml: katas-data-contaner.full.recompiled: there is no runner" in line
    assert not (tmp_path / "out.jsonl").exists()


@pytest.fixture
def tree(tmp_path: Path) -> tuple[str, ...]:
    """Arguments for a tree that is built at once."""
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "cyber-dojo.sh").write_text("#!/bin/sh\ncp built.c built.o && cat built.o\n")
    (folder / "cyber-dojo.sh").chmod(0o755)
    (folder / "built.c").write_text("one\n")
    return (
        "--tree",
        str(folder),
        "--edit",
        "built.c",
        "--engine",
        "local",
        "--out",
        str(tmp_path / "out.jsonl"),
    )


def test_without_a_result_it_measures_what_the_budgets_name(
    tree: tuple[str, ...], tmp_path: Path, budget: Callable[[str], str]
) -> None:
    """The runners, and the scenarios; counters alone take the fewest blocks that may be looked
    at.
    """
    budgets = budget('recompiled = "exactly 1"\nbytes_in = "at least 1"')
    assert main(("gate", "--budgets", budgets, *tree)) == 0
    recording = read_result(tmp_path / "out.jsonl")
    assert recording.complete
    assert {each.runner for each in recording.samples} == {"bare-make", PIPE}
    played = [each.scenario for each in recording.samples if each.runner == PIPE]
    assert played.count("incremental") == 15
    assert played.count("full") == 1


def test_against_a_second_runner(tree: tuple[str, ...], tmp_path: Path) -> None:
    """In the same blocks; the result says which arm is the baseline, so that it can be judged
    again.
    """
    status = main(("gate", "--against", "katas-volume", "--blocks", "2", *tree))
    assert status in (0, 1, 3)
    recording = read_result(tmp_path / "out.jsonl")
    assert recording.facts["against"] == "katas-volume"
    for block in range(3):
        arms = sorted(each.runner for each in recording.samples if each.block == block)
        assert arms == ["bare-make", PIPE, "katas-volume"]


def test_several_runners_have_a_baseline_each(
    tree: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is measured beside its own version of BASE, and judged; the last one does not win."""
    here = Path(sys.executable).parents[1]
    runners = ("--runner", "tmp", "--runner", "katas-volume", "--runner", "tmp")
    view = tmp_path / "v.json"
    given = ("--against", str(here), *runners, "--blocks", "2", "--json", str(view))
    status = main(("gate", *given, *tree))
    recording = read_result(tmp_path / "out.jsonl")
    names = ["tmp", "katas-volume"]
    assert recording.facts["against"] == {name: f"{name}@{here.name}" for name in names}
    assert {each.runner for each in recording.samples} == {
        "bare-make",
        *recording.facts["runners"],
    }
    written = json.loads(view.read_text())
    assert list(written["runners"]) == names
    assert written["exit_status"] == status
    found = {(each["runner"], each["metric"]) for each in written["rulings"]}
    metrics = ("test events", "seconds", "recompiled", "mtimes_changed")
    assert found == {(name, metric) for name in names for metric in metrics}
    assert "decided by" in capsys.readouterr().out


def test_several_runners_share_a_runner_as_their_baseline(
    tree: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is measured once; none of them may be the baseline itself."""
    given = ("--runner", "tmp", "--runner", PIPE, "--blocks", "2")
    assert main(("gate", "--against", "katas-volume", *given, *tree)) in (0, 1, 3)
    recording = read_result(tmp_path / "out.jsonl")
    assert recording.facts["against"] == "katas-volume"
    assert recording.facts["runners"] == ["tmp", PIPE, "katas-volume"]
    assert "is the runner itself" in refused(capsys, "--against", "tmp", *given, *tree)


def test_the_worst_of_several_runners_decides(
    record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each compared with its own baseline, in the blocks of a recorded gate."""
    ratios = {"tmp": 8.0, "tmp@old": 8.0, "katas-volume": 3.0, "katas-volume@old": 2.0}
    against = {name: f"{name}@old" for name in ("tmp", "katas-volume")}
    result = record("r.jsonl", blocks(ratios), against=against)
    budgets = tmp_path / "b.toml"
    view = tmp_path / "v.json"
    text = 'seconds = "at most 20 % above the baseline"\n'
    budgets.write_text(f"[tmp.incremental]\n{text}[katas-volume.incremental]\n{text}")
    assert main(("gate", result, "--budgets", str(budgets), "--json", str(view))) == 1
    assert json.loads(view.read_text())["runners"] == {"tmp": "passed", "katas-volume": "regressed"}
    budgets.write_text(f"[tmp.incremental]\n{text}")
    assert main(("gate", result, "--budgets", str(budgets))) == 0
    budgets.write_text(f'["tmp@old".incremental]\n{text}')
    assert "there is no baseline" in refused(capsys, result, "--budgets", str(budgets))
    broken = record("broken.jsonl", blocks({"tmp": 1.0}), against=["tmp"])
    assert "its against is not" in refused(capsys, broken, "--budgets", str(budgets))


def test_a_runner_without_a_base_is_refused(
    record: Record, budget: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It would be ignored: the budgets name what is measured and judged."""
    given = ("--budgets", budget('recompiled = "exactly 1"'), "--runner", "tmp")
    assert "leave out --runner" in refused(capsys, *given)
    assert "leave out --runner" in refused(capsys, record("r.jsonl", blocks({PIPE: 5.0})), *given)


def test_a_named_baseline_is_kept_and_compared_with(
    tree: tuple[str, ...],
    record: Record,
    budget: Callable[[str], str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """By its name, in every command that compares; a gate keeps only what passed."""
    where = ("--tree", *tree[1:-1])
    runner = ("--runner", PIPE, "--blocks", "3")
    first = str(tmp_path / "first.jsonl")
    assert main(("compare", *where, first, *runner, "--save", "main")) == 0
    assert "saved as baseline main" in capsys.readouterr().err
    kept = tmp_path / "results" / "baselines" / "main.jsonl"
    assert kept.read_bytes() == Path(first).read_bytes()
    again = str(tmp_path / "again.jsonl")
    given = (*runner, "--baseline", "main", "--save", "main")
    assert main(("compare", *where, again, *given)) == 0
    said = capsys.readouterr()
    assert "B to A" in said.out
    assert "baseline main replaced" in said.err
    assert main(("compare-results", first, "main")) == 0
    never = budget('seconds = "at most 1/1000 of the baseline"\nrecompiled = "exactly 7"')
    judged = ("gate", first, "--budgets", never, "--baseline", "main", "--save", "main")
    assert main(judged) == 1
    assert "not saved as baseline main" in " ".join(capsys.readouterr().err.split())
    assert kept.read_bytes() == Path(again).read_bytes()
    always = budget('recompiled = "exactly 1"')
    assert main(("gate", first, "--budgets", always, "--save", "main")) == 0
    assert kept.read_bytes() == Path(first).read_bytes()


@pytest.mark.parametrize("command", ["gate", "compare"])
def test_a_bad_baseline_is_refused_before_measuring(
    command: str, tree: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line, exit status 2."""
    measured = (command, *tree, *(("--against", "tmp") if command == "gate" else ()))
    for given, said in (
        (("--save", "../x"), "is not a name for a baseline"),
        (("--save", ""), "is not a name for a baseline"),
        (("--baseline", "none"), "there is no baseline none"),
        (("--baseline", ""), "is not a name for a baseline"),
        (("--baseline", "none.jsonl"), "none.jsonl"),
    ):
        capsys.readouterr()
        assert main((*measured, *given)) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert said in lines[0] or "--against measures the baseline itself" in lines[0]
    assert not (tmp_path / "out.jsonl").exists()


def test_one_result_is_saved_or_none(
    record: Record, budget: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    several = [
        record(f"{seed}.jsonl", blocks({PIPE: 5.0}, seed=seed), seed=seed) for seed in (1, 2)
    ]
    budgets = budget('seconds = "at most 9 times bare-make"')
    assert "--save keeps one result" in refused(
        capsys, *several, "--budgets", budgets, "--save", "main"
    )


def test_against_another_environment(tree: tuple[str, ...], tmp_path: Path) -> None:
    """Both sides are children, counted and timed alike, and nothing of them is left."""
    here = Path(sys.executable).parents[1]
    status = main(("gate", "--against", str(here), "--blocks", "3", *tree))
    assert status in (0, 1, 3)
    recording = read_result(tmp_path / "out.jsonl")
    base = f"{PIPE}@{here.name}"
    assert recording.facts["runners"] == [PIPE, base]
    incremental = [each for each in recording.samples if each.scenario == "incremental"]
    for arm in (PIPE, base):
        mine = [each for each in incremental if each.runner == arm]
        assert {each.outcome for each in mine} == {"completed"}
        assert {each.right for each in mine} == {True}
        assert {(each.recompiled, each.mtimes_changed) for each in mine} == {(1, 0)}
        assert all(each.bytes_in > 0 and each.seconds > 0 for each in mine)


def test_an_environment_without_a_harness_is_refused(
    tree: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With what its Python said."""
    python = tmp_path / "bare" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.base_prefix + "/bin/python3")
    line = refused(capsys, "--against", str(tmp_path / "bare"), *tree)
    assert "cannot be played by" in line
    assert "No module named" in line
    assert not (tmp_path / "out.jsonl").exists()
