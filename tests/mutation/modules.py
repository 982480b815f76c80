"""What is mutated: each module with the tests that must catch its variants."""

from __future__ import annotations

from dataclasses import dataclass

GATE = ("tests/gate/test_rulings.py", "tests/gate/test_gate.py")
LOCAL = ("-k", "not docker and not podman")


@dataclass(frozen=True)
class Equivalent:
    """A variant that no test can tell from the code."""

    module: str
    """Its path in the project."""
    line: str
    """The line of the code that it changes, or a part of it."""
    variant: str
    """The line, or the same part, as the variant has it."""
    reason: str
    """Why both do the same."""


MODULES: dict[str, tuple[str, ...]] = {
    "harness/measure/looks.py": ("tests/measure/test_looks.py",),
    "harness/measure/stats.py": ("tests/measure/test_formulas.py", "tests/measure/test_stats.py"),
    "harness/measure/summary.py": ("tests/measure/test_rows.py", "tests/measure/test_summary.py"),
    "harness/gate/__init__.py": GATE,
    "harness/gate/budgets.py": ("tests/gate/test_budgets.py",),
    "harness/gate/evidence.py": GATE,
    "harness/gate/history.py": ("tests/gate/test_history.py",),
    "harness/gate/verdict.py": GATE,
    "harness/inside/changes.py": ("tests/inside/test_changes.py",),
    "harness/inside/delta.py": ("tests/inside/test_delta.py",),
    "harness/inside/journal.py": ("tests/inside/test_journal.py",),
    "harness/inside/layout.py": ("tests/inside/test_layout.py",),
    "harness/inside/saving.py": ("tests/inside/test_saving.py",),
    "harness/inside/stamping.py": ("tests/inside/test_stamps.py", "tests/inside/test_saving.py"),
    "harness/inside/stamps.py": ("tests/inside/test_stamps.py", "tests/inside/test_saving.py"),
    "harness/inside/tree.py": ("tests/inside/test_tree.py",),
    "harness/katas/commits.py": ("tests/katas/test_commits.py",),
    "harness/katas/gather.py": ("tests/katas/test_visible.py", "tests/katas/test_swaps.py"),
    "harness/katas/ignored.py": ("tests/katas/test_patterns.py", "tests/katas/test_visible.py"),
    "harness/katas/patterns.py": ("tests/katas/test_patterns.py",),
    "harness/katas/players_folder.py": ("tests/katas/test_swaps.py",),
    "harness/katas/visible.py": ("tests/katas/test_visible.py",),
}
"""Paths of modules, each with arguments of pytest: files, the fastest first, and what narrows them."""

EQUIVALENT = (
    Equivalent(
        "harness/measure/looks.py",
        "LEAST_SCORE = 64, -8.0",
        "LEAST_SCORE = 64, - 7.0",
        "what lies below either is less than what the integration rounds off",
    ),
    Equivalent(
        "harness/measure/looks.py",
        "least, most = -normal.inv_cdf(chance)",
        "least, most = +normal.inv_cdf(chance)",
        "the root is sought in a wider range, and is the same",
    ),
    Equivalent(
        "harness/gate/__init__.py",
        "played.most_common(1)[0]",
        "played.most_common( 2)[0]",
        "only the first is looked at, however many are asked for",
    ),
    Equivalent(
        "harness/gate/__init__.py",
        'if sample.outcome != "completed" or',
        'if sample.outcome > "completed" or',
        "both other outcomes sort after it",
    ),
    Equivalent(
        "harness/gate/__init__.py",
        "zip(one, other, strict=True)",
        "zip(one, other, strict=False)",
        "figures of the same blocks are as many on both sides",
    ),
    Equivalent(
        "harness/katas/commits.py",
        "if file.mode != FOLDER}",
        "if file.mode > FOLDER}",
        "a folder's is the smallest of git's modes",
    ),
    Equivalent(
        "harness/inside/changes.py",
        "covering = gone | brought",
        "covering = gone ^ brought",
        "no path is both: what is gone is not there, and only what is there is brought",
    ),
    Equivalent(
        "harness/inside/delta.py",
        "return stat.S_IRUSR | (mode",
        "return stat.S_IRUSR ^ (mode",
        "the two have no bit in common",
    ),
    Equivalent(
        "harness/inside/delta.py",
        "if os.fstat(file).st_size != size:",
        "if os.fstat(file).st_size > size:",
        "of a shorter file some is left unread at the end, and the answer is the same",
    ),
    Equivalent(
        "harness/inside/delta.py",
        "usedforsecurity=False",
        "usedforsecurity=True",
        "the digest is the same; only an OpenSSL in FIPS mode would refuse it",
    ),
    Equivalent(
        "harness/katas/commits.py",
        "thing.as_raw_string(), 1)",
        "thing.as_raw_string(), 2)",
        "the content is the same, compressed a little more slowly",
    ),
    Equivalent(
        "harness/inside/changes.py",
        "else (1 + path.count",
        "else ( 2 + path.count",
        "only the order counts, and more slashes still are more",
    ),
    Equivalent(
        "harness/inside/changes.py",
        "else (1 + path.count",
        "else (1 << path.count",
        "only the order counts, and more slashes still are more",
    ),
    Equivalent(
        "harness/gate/__init__.py",
        "ruling.limit or 1.0",
        "ruling.limit or 2.0",
        "the ruling of a ratio has a limit, and a limit of 0 is refused where budgets are read",
    ),
    Equivalent(
        "harness/measure/summary.py",
        'and sample.outcome == "completed"',
        'and sample.outcome <= "completed"',
        "both other outcomes sort after it",
    ),
    Equivalent(
        "harness/measure/summary.py",
        "if len(machines) > 1 else",
        "if len(machines) != 1 else",
        "without a machine there is no runner to compare",
    ),
    Equivalent(
        "harness/inside/tree.py",
        "if status.st_nlink > 1 and",
        "if status.st_nlink > 0 and",
        "a file with one name makes a list of one path, which is left alone",
    ),
    Equivalent(
        "harness/inside/tree.py",
        'if status.st_nlink > 1 and kind != "d"',
        'if status.st_nlink > 1 or kind != "d"',
        "a folder has one path, and a list of one path is left alone",
    ),
    Equivalent(
        "harness/gate/budgets.py",
        'budget.than or ""',
        'budget.than and ""',
        "a bound alone and one of the baseline still differ, as None and an empty text",
    ),
    Equivalent(
        "harness/gate/budgets.py",
        "if one < other:",
        "if one >= other:",
        "either order of the two will do, as long as it is always the same",
    ),
    Equivalent(
        "harness/inside/stamps.py",
        "for age in ages.values()), default=0)",
        "for age in ages.values()), default= -1)",
        "without any age there is nothing to stamp",
    ),
    Equivalent(
        "harness/inside/stamps.py",
        "past.values(), default=0)",
        "past.values(), default= 1)",
        "the clock is long past the first nanosecond of 1970",
    ),
    Equivalent(
        "harness/inside/tree.py",
        "buffering=0",
        "buffering= -1",
        "the digest is the same, with a buffer that is not needed",
    ),
)
"""Variants that are found to change nothing; they count neither as caught nor as missed."""
