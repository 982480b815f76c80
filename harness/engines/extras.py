"""The name of this distribution, and its extras: packages that only some of it needs."""

from __future__ import annotations

DISTRIBUTION = "tarpipe-harness"

EXTRAS = {
    "verify": ("hypothesis", "pytest"),
    "results": ("jinja2", "matplotlib", "pandas"),
    "dask": ("distributed",),
    "parquet": ("pyarrow",),
}
"""The modules of each extra, by its name in pyproject.toml."""


def install_line(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def missing_extra(error: ImportError) -> str:
    """Say in one line what to install where a module is missing. Empty: no extra has it."""
    module = (error.name or "").partition(".")[0]
    for extra, modules in EXTRAS.items():
        if module in modules:
            return f"this needs {module}, which is not installed; run {install_line(extra)}"
    return ""
