"""One runner has a piece of work at a time, and a dead one keeps none."""

import errno
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace

import psutil
import pytest

from ifc_bench.sweep import claims as claims_module
from ifc_bench.sweep.claims import Claims, Owner


@pytest.fixture
def two(tmp_path):
    with Claims(tmp_path, beat=0.05) as a, Claims(tmp_path, beat=0.05) as b:
        yield a, b


def holder(claims: Claims, key: str) -> Owner | None:
    return claims_module._owner_of(claims._path(key).read_bytes())


def elsewhere(claims: Claims) -> None:
    """Let the owner of `claims` be on another host."""
    claims.owner = replace(claims.owner, host="another")


def test_a_piece_has_one_runner_at_a_time(two):
    a, b = two
    assert a.take("x")
    assert a.take("x"), "its own"
    assert not b.take("x")
    assert b.take("y")
    assert holder(a, "x") == a.owner
    b.release("x")
    assert holder(a, "x") == a.owner, "another's claim stays"
    a.release("x")
    assert b.take("x")


def test_the_end_releases_all(tmp_path):
    with Claims(tmp_path) as a:
        a.take("x")
    assert list(tmp_path.iterdir()) == []


def test_many_at_once_and_one_gets_it(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ifc_bench.sweep.claims import Claims\n"
        "with Claims(Path(sys.argv[1])) as claims:\n"
        "    print(sum(claims.take(str(n)) for n in range(50)), flush=True)\n"
        "    sys.stdin.read()"
    )
    runners = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    taken = [int(runner.stdout.readline()) for runner in runners]
    for runner in runners:
        runner.communicate("")
    assert sum(taken) == 50


def test_a_dead_process_of_this_host_is_taken_over_at_once(tmp_path):
    code = (
        "import os, sys; from pathlib import Path; from ifc_bench.sweep.claims import Claims\n"
        "claims = Claims(Path(sys.argv[1])); print(claims.take('x'), flush=True); os.abort()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True)
    assert done.stdout == b"True\n"
    with Claims(tmp_path) as a:
        assert a.take("x")


def test_another_host_is_dead_when_it_gives_no_sign_for_a_while(two):
    a, b = two
    b.dead = 0.4
    elsewhere(a)
    assert a.take("x")
    begun = time.monotonic()
    while time.monotonic() - begun < 1.0:
        assert not b.take("x"), "it gives signs of life"
        time.sleep(0.02)
    a._over.set()  # as if its host had lost power
    a._thread.join()
    begun = time.monotonic()
    while not b.take("x"):
        time.sleep(0.02)
    assert 0.3 < time.monotonic() - begun < 5
    assert holder(b, "x") == b.owner


def test_a_runner_that_stood_still_does_not_take_its_claim_back(two):
    a, b = two
    assert a.take("x")
    path = a._path("x")
    path.write_bytes(b._text())  # b took it over meanwhile
    time.sleep(0.3)
    assert holder(b, "x") == b.owner
    a.release("x")
    assert path.exists()


def test_a_faster_runner_keeps_a_claim_that_two_found_dead(two):
    """Both saw the same dead claim; the slower one finds the new claim in its place."""
    a, b = two
    assert a.take("x")
    assert not b._taken_over(b._path("x"), b"the dead one")
    assert holder(a, "x") == a.owner
    assert not [one for one in a.folder.iterdir() if one.suffix not in (".claim", ".beat")]
    time.sleep(0.2)
    assert "x" in a._mine, "a moment without its file is no loss"
    assert not b.take("x")


def test_an_error_of_the_server_stops_no_sign_of_life(two, monkeypatch):
    a, _ = two
    assert a.take("x")
    read = claims_module._content
    errors = iter([OSError(errno.EIO, "Input/output error")] * 3)

    def failing(path):
        for error in errors:
            raise error
        return read(path)

    monkeypatch.setattr(claims_module, "_content", failing)
    before = a._beats
    time.sleep(0.5)
    assert a._beats > before + 3
    assert json.loads(a._path("x").read_bytes())["beats"] > before + 3


def test_a_claim_cut_off_while_it_was_written_is_dead_after_a_while(two):
    a, _ = two
    a.dead = 0.2
    a.folder.mkdir(exist_ok=True)
    a._path("x").write_bytes(b'{"id": "')
    assert not a.take("x")
    time.sleep(0.3)
    assert a.take("x")


def test_only_what_is_sure_is_said_of_a_process():
    owner = Owner.this()
    assert owner.gone is False
    assert replace(owner, started=owner.started - 100).gone is None, "or the clock was set"
    assert replace(owner, process=2**22 + 1).gone is True
    assert replace(owner, processes="of another container").gone is None


def test_a_stopped_process_may_never_go_on():
    """Its claims are taken over after a while without a sign of life, as on another host."""
    process = subprocess.Popen(["sleep", "60"])
    try:
        owner = replace(
            Owner.this(), process=process.pid, started=psutil.Process(process.pid).create_time()
        )
        assert owner.gone is False
        process.send_signal(signal.SIGSTOP)
        while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        assert owner.gone is None
    finally:
        process.kill()
        process.wait()
