"""Whose environment is whose: what an image sets, the player has and nothing that is trusted."""

from __future__ import annotations

import pytest

from harness.engines.guest.environment import DEFAULTS, players, trusted


def test_what_the_image_sets_wins() -> None:
    """Over each default, with whatever is in it; the rest stays as it is on each engine."""
    own = players(["HOME=/home/a", "A=b=c\n'd", "LC_ALL=de_DE.UTF-8", "EMPTY="])
    assert own["HOME"] == "/home/a"
    assert (own["A"], own["LC_ALL"], own["EMPTY"]) == ("b=c\n'd", "de_DE.UTF-8", "")
    assert own["PATH"] == DEFAULTS["PATH"]
    assert own["LANG"] == DEFAULTS["LANG"]


@pytest.mark.parametrize(
    "variable",
    ["PYTHONDONTWRITEBYTECODE=", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPYCACHEPREFIX=/tmp/bytecode"],
)
def test_an_image_may_keep_bytecode(variable: str) -> None:
    """Where it says so, in either way."""
    name, _, value = variable.partition("=")
    found = {each: text for each, text in players([variable]).items() if each.startswith("PYTHON")}
    assert found == {name: value}
    assert players()["PYTHONDONTWRITEBYTECODE"] == "1"


def test_what_is_trusted_has_nothing_of_the_image() -> None:
    """Each name is taken away, odd ones too; and those that the guest has itself are its own."""
    names = {
        "BASH_FUNC_head%%",
        "a b",
        "BASH_ENV",
        "ENV",
        "GCONV_PATH",
        "IFS",
        "LD_LIBRARY_PATH",
        "LD_PRELOAD",
        "TAR_OPTIONS",
    }
    asked = trusted([*(f"{name}=/a" for name in names), "PATH=.", "LC_ALL=de_DE.UTF-8", "NO_VALUE"])
    assert sorted(each for each in asked if "=" in each) == [
        "LC_ALL=C",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ]
    assert {each for each in asked if "=" not in each} == {*names, "NO_VALUE"}


def test_what_no_process_can_have_is_left_out() -> None:
    assert not {"", "NO_VALUE"} & players(["=a", "NO_VALUE"]).keys()
