"""A data-container for all katas, for each kata or for each avatar; piped both ways, one way, or
mounted.
"""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from contextlib import closing

import pytest

from harness import runners
from harness.engines import Engine
from harness.inside.errors import EngineError, NoSuchAvatar, UsageError
from harness.inside.layout import Avatar
from harness.katas.granular_katas import READY, GranularKatas
from harness.katas.volume_katas import VolumeKatas
from harness.runners.base import BaseRunner
from harness.runners.claims import EVERYTHING, Property
from harness.runners.katas_data_container import KatasDataContainer
from harness.runners.variant import Variant
from tests.support import an_avatar, completed, eventually, one_line, play, snapshot

SENSIBLE = (
    "",
    "pipe=one-way",
    *(f"granularity=kata,pipe={each}" for each in ("two-way", "one-way", "none")),
)
VARIANTS = (*SENSIBLE, "granularity=avatar")

BUILD = "[ product -nt source ] && echo kept || { echo made; cp source product; }; [ ! -e extra ] || rm extra"


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda text: text or "default")
def runner(request: pytest.FixtureRequest, shared_engine: Engine) -> Iterator[BaseRunner]:
    """Each sensible variant on each engine."""
    with closing(
        Variant.of(KatasDataContainer, request.param).open(shared_engine, observe=True)
    ) as opened:
        yield opened


def is_piped_one_way(runner: BaseRunner) -> bool:
    assert isinstance(runner, KatasDataContainer)
    return runner.pipe == "one-way"


def test_what_is_made_is_there_next_time_unless_the_pipe_is_one_way(runner: BaseRunner) -> None:
    """And an edit is seen, however soon it comes."""
    avatar = an_avatar()
    again = "made" if is_piped_one_way(runner) else "kept"
    for content, expected in (("1", "made"), ("1", again), ("2", "made"), ("2", again)):
        run = play(runner, avatar, BUILD, source=content)
        assert run.stdout == f"{expected}\n"


def test_what_a_run_deletes_stays_deleted_unless_the_pipe_is_one_way(runner: BaseRunner) -> None:
    avatar = an_avatar()
    play(runner, avatar, "mkdir -p a/b; touch a/b/c d; ln -s d e", source="1")
    play(runner, avatar, "rm -rf a e", source="1")
    left = set(snapshot(runner.katas, avatar)) - {b".", b"cyber-dojo.sh", b"source"}
    assert left == (set() if is_piped_one_way(runner) else {b"d"})


def test_only_who_mounts_a_team_s_data_container_reads_a_team_mate_s_files(
    runner: BaseRunner,
) -> None:
    """And nobody another kata's: the whole file system is searched, as far as the run can see
    it.
    """
    assert isinstance(runner, KatasDataContainer)
    if not runner.engine.isolates:
        pytest.skip("plain processes are not kept from the host's files")
    kata = an_avatar().kata
    lion, tiger, other = Avatar(kata, "lion"), Avatar(kata, "tiger"), an_avatar()
    for each, secret in ((tiger, "team-mate-s"), (other, "another-kata-s")):
        play(runner, each, "cp secret copy", secret=secret)
    search = "find / -path /proc -prune -o -name secret -exec cat {} \\; 2>/dev/null; true"
    found = play(runner, lion, search, secret="mine ").stdout
    shares = runner.pipe == "none" and runner.katas.container(lion) == runner.katas.container(tiger)
    assert ("team-mate-s" in found) == shares
    assert "another-kata-s" not in found
    assert "mine" in found
    claimed = Property.ISOLATED in type(runner).claims(
        {"granularity": "kata", "pipe": runner.pipe} if shares else {}
    )
    assert claimed == (not shares)


def test_a_mounted_run_writes_nowhere_but_in_sandboxes(runner: BaseRunner) -> None:
    """Its own history and the names of its visible files are the keeper's."""
    avatar = an_avatar()
    run = play(
        runner,
        avatar,
        "cd ..; touch .git/x visible.json new 2>/dev/null; mv sandbox y 2>/dev/null; true",
    )
    assert run.tag == 1
    assert play(runner, avatar, "true", added="1").tag == 2
    assert set(runner.katas.list()[avatar.kata]) == {avatar.name}


def test_no_container_is_left_behind(runner: BaseRunner) -> None:
    """But the keepers, and those only of so many data-containers, however many are played."""
    for _ in range(READY + 2):
        play(runner, an_avatar(), "true")
    keepers = 1 if isinstance(runner.katas, VolumeKatas) else READY
    eventually(lambda: len(runner.engine.traces()) <= keepers, "containers go")


def test_data_containers_are_made_on_the_fly_and_go_with_temporary_katas(
    shared_engine: Engine,
) -> None:
    """One for each kata or each avatar, with the name of the katas as a common label; they are
    listed together.
    """
    kata = an_avatar().kata
    for granularity, expected in (("kata", 1), ("avatar", 2)):
        with closing(
            Variant.of(KatasDataContainer, f"granularity={granularity}").open(shared_engine)
        ) as runner:
            katas = runner.katas
            assert isinstance(katas, GranularKatas)
            for name in ("lion", "tiger"):
                play(runner, Avatar(kata, name), "touch made", source="1")
            found = [each for each in shared_engine.volumes() if each.katas == katas.name]
            assert len(found) == expected
            assert all(each.temporary for each in found)
            assert {kata: {"lion", "tiger"}} == {
                key: set(value) for key, value in katas.list().items()
            }
            packed: list[bytes] = []
            assert katas.download(kata, packed.append) == sum(map(len, packed))
            with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as members:
                owners = {each.name: each.uid for each in members}
            for name in ("lion", "tiger"):
                mounted, kept = owners[f"./{name}/sandbox/made"], owners[f"./{name}/.git/HEAD"]
                assert (mounted != kept) == (granularity == "avatar" and os.geteuid() == 0)
            with katas.history(Avatar(kata, "tiger")) as history:
                assert (history / "HEAD").exists()
            with pytest.raises(UsageError), katas.history(an_avatar()):
                pass
        assert not [each for each in shared_engine.volumes() if each.katas == katas.name]


def test_an_avatar_that_is_played_again_after_its_kata_was_removed(runner: BaseRunner) -> None:
    """The data-container of a team mate is still there, and holds nothing: it is passed by."""
    kata = an_avatar().kata
    lion, tiger = Avatar(kata, "lion"), Avatar(kata, "tiger")
    for each in (lion, tiger):
        play(runner, each, "true")
    runner.katas.remove(kata)
    play(runner, tiger, "true")
    packed: list[bytes] = []
    runner.katas.download(kata, packed.append)
    with tarfile.open(fileobj=io.BytesIO(b"".join(packed))) as members:
        names = members.getnames()
    assert "./tiger/sandbox/cyber-dojo.sh" in names
    assert not [each for each in names if "lion" in each]
    with pytest.raises(NoSuchAvatar, match="lion"):
        runner.katas.remove(kata, "lion")
    runner.katas.remove(kata)
    with pytest.raises(NoSuchAvatar):
        runner.katas.remove(kata)


def test_what_runs_make_takes_the_disk_only_if_it_is_kept(runner: BaseRunner) -> None:
    """Bytes of visible and of extra files, counted apart."""
    avatar = an_avatar()
    play(runner, avatar, "head -c 5000 /dev/zero >extra; ln extra other", source="1234")
    usage = runner.katas.usage()[avatar.kata][avatar.name]
    assert usage.visible == 4 + len("#!/bin/sh\nhead -c 5000 /dev/zero >extra; ln extra other")
    assert usage.extra == (0 if is_piped_one_way(runner) else 5000)
    assert usage.history > 0


@pytest.mark.parametrize(
    "options", ["pipe=none", "granularity=katas,pipe=none", "granularity=avatar,pipe=two-way"]
)
def test_what_makes_no_sense_together_is_refused(options: str) -> None:
    with pytest.raises(UsageError) as refused:
        runners.parse_variant(f"katas-data-container:{options}")
    assert "granularity=kata" in one_line(refused.value)


def test_claims_follow_the_pipe() -> None:
    claims = {
        text: KatasDataContainer.claims(Variant.of(KatasDataContainer, text).options)
        for text in VARIANTS
    }
    assert claims[""] == claims["granularity=kata,pipe=two-way"] == EVERYTHING
    assert Property.INCREMENTAL not in claims["pipe=one-way"]
    assert Property.ATOMIC in claims["pipe=one-way"]
    assert {Property.ATOMIC, Property.TIMED_OUT} & claims["granularity=avatar"] == set()
    assert claims["granularity=avatar"] - claims["granularity=kata,pipe=none"] == {
        Property.ISOLATED
    }


def test_where_nothing_can_be_mounted_the_runner_says_so(
    monkeypatch: pytest.MonkeyPatch, open_engine: object
) -> None:
    """A user without privileges on a kernel without user namespaces, and bind mounts refused."""
    monkeypatch.setattr(
        "harness.engines.local.mounts.bind_problem", lambda: "mount: permission denied"
    )
    with closing(open_engine("local-plain")) as engine:  # type: ignore[operator]
        with pytest.raises(EngineError) as refused:
            Variant.of(KatasDataContainer, "granularity=avatar").open(engine)
        assert "permission denied" in one_line(refused.value)
        with closing(Variant.of(KatasDataContainer).open(engine)) as piped:
            completed(play(piped, an_avatar(), "true"))
