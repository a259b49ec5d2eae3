"""What an iteration takes: rows for fewer clips at a time, lack of memory, and nothing kept."""

import os
import resource
import signal
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ifc_bench.config import Evaluation, Optimisation, Training
from ifc_bench.errors import UserError
from ifc_bench.measuring import dry_run as module
from ifc_bench.measuring.dry_run import Request, dry_run, halves, measure
from ifc_bench.measuring.isolation import Died, in_process
from ifc_bench.measuring.memory import out_of_memory
from ifc_bench.records.dry_run import DryRun, Steps
from ifc_bench.store import Store
from ifc_bench.training.rehearsal import Rehearsal
from tests.conftest import tiny_model


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "results", tmp_path / "runs")


@pytest.fixture
def request_of(tiny_data):
    def make(windows: tuple[int, ...] = (), iterations: int = 2, **changes: object) -> Request:
        schedule = Optimisation(iterations=9, clips=4, clip_frames=3, sampling_range=2)
        schedule = schedule.model_copy(update=changes)
        work = Training(model=tiny_model(), optimisation=schedule, data=tiny_data, seed=0)
        tests = tuple(Evaluation(training=work, window=window) for window in windows)
        return Request(work, tests, "cpu", 1, iterations)

    return make


@pytest.fixture
def aside(tmp_path):
    folder = tmp_path / "aside"
    folder.mkdir()
    return folder


@pytest.fixture
def out_of_memory_above(monkeypatch):
    """Make iterations with more clips at a time fail, as a GPU's allocator does.

    Returns the list of what was tried.
    """

    def patch(most: int) -> list[int]:
        real, tried = Rehearsal.step, []

        def step(self, batch, at_a_time):
            tried.append(at_a_time)
            if min(at_a_time, len(batch.targets)) > most:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            real(self, batch, at_a_time)

        monkeypatch.setattr(Rehearsal, "step", step)
        return tried

    return patch


@pytest.mark.parametrize(("clips", "expected"), [(16, [16, 8, 4, 2, 1]), (6, [6, 3, 1]), (1, [1])])
def test_a_batch_is_halved_down_to_one_clip(clips, expected):
    assert halves(clips) == expected


def test_every_number_of_clips_has_time_and_memory(request_of, store, aside):
    run = measure(request_of(windows=(3, 5), curve_every=3), store, aside, [4, 2, 1])
    assert [steps.at_a_time for steps in run.steps] == [4, 2, 1]
    assert all(len(steps.seconds) == 2 for steps in run.steps)
    assert all(0 < second < 60 for steps in run.steps for second in steps.seconds)
    peaks = [steps.peak_bytes for steps in run.steps]
    assert peaks[0] > 1.5 * peaks[1] > 1.5 * peaks[2], "mostly activations, in proportion to clips"
    assert {steps.reserved_bytes for steps in run.steps} == {None}, "a GPU's"
    assert run.frame_size == (32, 48)
    assert len(run.load_seconds) == 2
    assert run.loaders == 0, "of the embedded data"
    assert run.checkpoint_bytes > 3 * sum(p.numel() for p in network().parameters()) * 4 * 0.9
    assert run.tests.share == pytest.approx(2 / 5), "two videos of 12 frames"
    assert run.tests.seconds > 0
    assert run.tests.curve_seconds > 0
    assert run.tests.predictions_bytes > 100


def network():
    from ifc_bench.models.build import build_model

    return build_model(tiny_model())


def test_the_peak_holds_weights_gradients_and_moments(request_of, store, aside):
    """And the moments of an earlier row are not forgotten."""
    run = measure(request_of(), store, aside, [4, 1])
    learned = 4 * sum(p.numel() for p in network().parameters())
    assert all(steps.peak_bytes > 4 * learned for steps in run.steps)
    alone = measure(request_of(), store, aside, [4])
    assert alone.steps[0].peak_bytes == pytest.approx(run.steps[0].peak_bytes, rel=0.03)


def test_many_iterations_use_a_few_batches_again(request_of, store, aside, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BATCHES", 2)
    run = measure(request_of(iterations=5), store, aside, [1])
    assert len(run.load_seconds) == 2
    assert len(run.steps[0].seconds) == 5


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [([30, 10, 50], [30]), ([1] * 50, [1] * 20), ([4, 5], [5]), ([8, 8, 9, 15, 40], [9, 15])],
)
def test_tests_are_of_typical_videos_and_enough_frames(lengths, expected):
    videos = [SimpleNamespace(length=length) for length in lengths]
    assert [video.length for video in module._typical(videos)] == expected


def test_lack_of_memory_is_a_row_and_fewer_clips_go_on(
    request_of, store, aside, out_of_memory_above
):
    tried = out_of_memory_above(2)
    run = measure(request_of(), store, aside, [4, 2, 1])
    assert run.steps[0] == Steps(4)
    assert [steps.fits for steps in run.steps] == [False, True, True]
    assert run.checkpoint_bytes > 1000
    assert tried == [1] * 4 + [2] * 4 + [4]


def test_no_more_clips_are_tried_than_the_fewest_that_do_not_fit(
    request_of, store, aside, out_of_memory_above
):
    tried = out_of_memory_above(1)
    run = measure(request_of(), store, aside, [4, 2, 1])
    assert [steps.fits for steps in run.steps] == [False, False, True]
    assert tried == [1] * 4 + [2]


def test_a_convolution_that_onednn_has_no_memory_for_is_lack_of_memory(
    request_of, store, aside, monkeypatch
):
    def step(self, batch, at_a_time):
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(Rehearsal, "step", step)
    assert measure(request_of(), store, aside, [1]).steps == (Steps(1),)


def test_not_even_one_clip_fits(request_of, store, aside, out_of_memory_above):
    out_of_memory_above(0)
    run = measure(request_of(windows=(3,)), store, aside, [4, 2, 1])
    assert not any(steps.fits for steps in run.steps)
    assert run.checkpoint_bytes is None


def test_other_errors_of_an_iteration_are_not_lack_of_memory(request_of, store, aside, monkeypatch):
    def step(self, batch, at_a_time):
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(Rehearsal, "step", step)
    with pytest.raises(RuntimeError, match="shapes do not match"):
        measure(request_of(), store, aside, [4])


def test_a_test_that_runs_out_of_memory_is_no_test(request_of, store, aside, monkeypatch):
    def predict(*_):
        raise MemoryError

    monkeypatch.setattr(module, "predict_in_one_pass", predict)
    run = measure(request_of(windows=(3,)), store, aside, [1])
    assert run.tests is None
    assert run.steps[0].fits


def test_a_training_without_tests_has_none(request_of, store, aside):
    assert measure(request_of(), store, aside, [1]).tests is None


def test_a_device_without_memory_for_the_model_is_one_line(request_of, store, aside, monkeypatch):
    def refused(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "Rehearsal", refused)
    with pytest.raises(UserError, match=r"^--device: cpu has [\d.]+ GB of free memory, not enough"):
        measure(request_of(), store, aside, [1])


def test_the_settings_of_the_process_are_put_back(request_of, store, aside):
    before = resource.getrlimit(resource.RLIMIT_DATA), tempfile.tempdir
    measure(request_of(), store, aside, [1])
    assert (resource.getrlimit(resource.RLIMIT_DATA), tempfile.tempdir) == before


def test_an_allocation_beyond_the_free_memory_of_a_cpu_fails(monkeypatch):
    """Without the limit, the kernel would kill the process."""
    monkeypatch.setattr(module, "_free_bytes", lambda device: 300_000_000)
    cpu = torch.device("cpu")
    with module._limited_memory(cpu):
        assert torch.empty(100_000_000, dtype=torch.uint8).numel()
        with pytest.raises(RuntimeError) as caught:
            torch.empty(1_000_000_000, dtype=torch.uint8)
    assert out_of_memory(caught.value)
    assert torch.empty(1_000_000_000, dtype=torch.uint8).numel()


def test_a_killed_process_begins_again_with_half_the_clips(request_of, store, monkeypatch):
    asked, places = [], []
    answer = DryRun((32, 48), (0.1,), 0, 2, (Steps(1, (0.5,), 9),), 10, None, 100)

    def process(function, request, store, aside, sizes):
        asked.append(sizes)
        places.append(aside)
        return answer if sizes == [1] else Died("killed by SIGKILL", killed=True)

    monkeypatch.setattr(module, "in_process", process)
    run = dry_run(request_of(), store)
    assert asked == [[4, 2, 1], [2, 1], [1]]
    assert run.steps == (Steps(4), Steps(2), Steps(1, (0.5,), 9))
    assert not any(place.exists() for place in places)


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_that_dies_of_anything_else_is_one_line(killed, request_of, store, monkeypatch):
    deaths = []

    def process(*_):
        deaths.append(1)
        return Died("Traceback\nValueError: odd", killed=killed)

    monkeypatch.setattr(module, "in_process", process)
    with pytest.raises(UserError, match=r"^--dry-run: training [0-9a-f]{16}: ValueError: odd$"):
        dry_run(request_of(), store)
    assert len(deaths) == (3 if killed else 1)


def _die(sign: int) -> None:
    os.kill(os.getpid(), sign)


@pytest.mark.parametrize(
    ("sign", "killed"), [(signal.SIGKILL, True), (signal.SIGABRT, True), (signal.SIGTERM, False)]
)
def test_an_end_for_lack_of_memory_is_known_as_one(sign, killed):
    assert in_process(_die, sign).killed is killed


def test_an_error_is_no_lack_of_memory():
    assert not in_process(_fail).killed


def _fail() -> None:
    raise ValueError("odd")


def test_a_gpu_is_measured_by_its_allocator_and_by_events(monkeypatch):
    """With torch.cuda replaced: the cache is emptied first, and the peak covers all iterations."""
    happened: list[str] = []
    for name, answer in (
        ("empty_cache", None), ("reset_peak_memory_stats", None), ("synchronize", None),
        ("max_memory_allocated", 7_000), ("max_memory_reserved", 9_000),
    ):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda *_, n=name, a=answer: happened.append(n) or a)

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self, stream: object = None) -> None:
            happened.append("mark")

        def elapsed_time(self, other: object) -> float:
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    fake = SimpleNamespace(
        device=torch.device("cuda:0"),
        optimiser=SimpleNamespace(zero_grad=lambda: None),
        model=torch.nn.Linear(1, 1),
        moments_bytes=lambda: 0,
        step=lambda batch, at_a_time: happened.append("step"),
    )
    batch = module.Batch(torch.zeros(4, 1), [0, 1, 2, 3])
    steps = module._steps(fake, [batch] * 3, 4)
    assert steps == Steps(4, (0.25, 0.25, 0.25), 7_000, 9_000)
    assert happened == [
        "empty_cache", "reset_peak_memory_stats", "step", "step",
        "mark", "step", "mark", "step", "mark", "step", "mark", "synchronize",
        "max_memory_allocated", "max_memory_reserved",
    ]  # fmt: skip


def test_a_dry_run_in_its_own_process_leaves_only_the_data(
    request_of, store, tmp_path, monkeypatch
):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", None)
    run = dry_run(request_of(iterations=1), store)
    assert [steps.fits for steps in run.steps] == [True] * 3
    left = {path.name for path in Path(tmp_path).iterdir()}
    assert left == {"runs", "tmp"}
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["data"]
    assert not list((tmp_path / "tmp").iterdir())
