"""Time per scope, and CUDA events without a GPU."""

from contextlib import suppress

import pytest
import torch

from ifc_bench.measuring.clocks import EventClock, HostClock, Tape


class Steps:
    """A clock that tests set by hand."""

    def __init__(self):
        self.now = 0.0
        self.finished = 0

    def mark(self):
        return self.now

    def finish(self):
        self.finished += 1

    def seconds(self, start, end):
        return end - start


def test_every_moment_belongs_to_one_scope():
    clock = Steps()
    tape = Tape(clock)
    with tape.running():
        clock.now += 1  # other
        with tape.watch("tracker"):
            clock.now += 2
            with tape.watch("output"):
                clock.now += 4
            clock.now += 8
        with tape.watch("tracker"):
            clock.now += 16
        clock.now += 32
    clock.now += 64  # after the end
    assert tape.seconds() == {"other": 33, "tracker": 26, "output": 4}
    assert clock.finished == 1, "one synchronisation, at the end"


def test_a_scope_closes_when_code_in_it_fails():
    clock = Steps()
    tape = Tape(clock)
    with tape.running():
        with suppress(ValueError), tape.watch("encoder"):
            clock.now += 1
            raise ValueError
        clock.now += 2
    assert tape.seconds() == {"other": 2, "encoder": 1}


class FakeStream:
    """The work of one device, in milliseconds."""

    def __init__(self):
        self.now = 0.0


class FakeEvent:
    """An event at the time when its stream would reach it."""

    waits = 0

    def __init__(self, enable_timing: bool = False):
        assert enable_timing
        self.at = None

    def record(self, stream):
        self.at = stream.now

    def elapsed_time(self, other):
        assert FakeEvent.waits, "read before synchronisation"
        return other.at - self.at


@pytest.fixture
def streams(monkeypatch):
    """Two devices with a stream each; the current device is the first."""
    found = {0: FakeStream(), 1: FakeStream()}

    def wait(device):
        FakeEvent.waits += 1

    monkeypatch.setattr(torch.cuda, "Event", FakeEvent)
    monkeypatch.setattr(torch.cuda, "synchronize", wait)
    monkeypatch.setattr(
        torch.cuda, "current_stream", lambda device=None: found[device.index if device else 0]
    )
    FakeEvent.waits = 0
    return found


def test_events_are_recorded_without_waiting_and_read_after_one_wait(streams):
    tape = Tape(EventClock(torch.device("cuda:0")))
    with tape.running():
        for _ in range(3):
            with tape.watch("backbone"):
                streams[0].now += 500
        streams[0].now += 250
    assert FakeEvent.waits == 0
    assert tape.seconds() == {"other": 0.25, "backbone": 1.5}
    assert FakeEvent.waits == 1


def test_events_are_on_the_stream_of_their_own_device(streams):
    """The second GPU is measured, and not the current one."""
    clock = EventClock(torch.device("cuda:1"))
    start = clock.mark()
    streams[1].now += 500
    streams[0].now += 9000
    end = clock.mark()
    clock.finish()
    assert clock.seconds(start, end) == 0.5


def test_the_hosts_clock_moves_forward():
    clock = HostClock()
    start = clock.mark()
    assert clock.seconds(start, clock.mark()) >= 0
