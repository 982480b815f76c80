"""A check of what a harness leaves that is killed."""

from __future__ import annotations

import pickle
import secrets
import subprocess
import sys
import time
from contextlib import closing

from harness.engines import Engine, SandboxSpec
from harness.verify.child_process import command
from harness.verify.conformance.checking import CHECK_SECONDS, must
from harness.verify.conformance.volumes import volume_on


def sweeps(engine: Engine) -> None:
    """What a harness leaves that was killed is told and removed, and nothing of one that lives."""
    doomed = f"harness-conformance-{secrets.token_hex(6)}"

    def told() -> bool:
        return any(doomed in line for line in engine.leftovers())

    with (
        volume_on(engine) as own,
        subprocess.Popen(
            command(__name__), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as harness,
    ):
        try:
            sent = pickle.dumps(sys.path) + pickle.dumps((engine, doomed))
            must(_begin(harness, sent), "another process cannot open a sandbox and a volume on it")
            must(not told(), "what a harness has that lives is a leftover")
        finally:
            harness.kill()
            harness.wait()
        try:
            must(told(), "a temporary volume whose harness was killed is no leftover")
            must(any(doomed in line for line in engine.sweep()), "sweep() does not tell of it")
            names = {volume.name for volume in engine.volumes()}
            must(doomed not in names, "a temporary volume whose harness was killed stays")
            must(own in names, "a sweep removes a volume whose harness lives")
        finally:
            engine.remove_volume(doomed)
    must(not told(), "it is a leftover still")


def _begin(harness: subprocess.Popen[bytes], sent: bytes) -> bool:
    """Send a process what it needs, and return whether it is ready."""
    if harness.stdin is None or harness.stdout is None:
        return False
    harness.stdin.write(sent)
    harness.stdin.flush()
    return harness.stdout.readline() == b"ready\n"


def main() -> None:
    """Begin what will be left, and wait to be killed: the entry point of that process."""
    engine, volume = pickle.load(sys.stdin.buffer)
    engine.create_volume(volume, temporary=True)
    with closing(engine.open(SandboxSpec())) as sandbox:
        sandbox.get_ready()
        print("ready", flush=True)  # noqa: T201
        time.sleep(CHECK_SECONDS * 4)
