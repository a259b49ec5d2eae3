"""Options of the machine: devices, processes, and the executor that runs the work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from ifc_bench.cli.options import MOST_THREADS, ExpectGpu, number, refuse_other_gpu
from ifc_bench.errors import UserError
from ifc_bench.hardware.device import describe_device, resolve_devices, usable_cores
from ifc_bench.sweep.tasks import ExecutorName, Settings

Devices = Annotated[
    str,
    Parameter("--device", help="auto (the first GPU, else the CPU), cpu, cuda:N, cuda:0,1,2, all."),
]


@Parameter(name="*")
@dataclass(frozen=True)
class Machine:
    """Options of the device and of the worker processes."""

    device: Devices = "auto"
    workers: Annotated[
        int | None,
        number("Processes, or jobs. Default: one per CPU core or GPU; 1 job.", 1, MOST_THREADS),
    ] = None
    threads: Annotated[int, number("Threads of each process.", 1, MOST_THREADS)] = 1
    tensorboard: Annotated[bool, Parameter(help="Write TensorBoard curves under --runs.")] = False
    expect_gpu: ExpectGpu = None
    executor: Annotated[
        ExecutorName,
        Parameter(
            help="local: a process for each task; ray: on a Ray cluster; slurm: --workers jobs, "
            "each a runner; inline: in this process, for a debugger."
        ),
    ] = "local"
    address: Annotated[
        str | None,
        Parameter(help="Ray cluster, such as auto. Default: one is started on this machine."),
    ] = None
    checkpoints: Annotated[
        str | None,
        Parameter(
            help="With ray: address that nodes share checkpoints through, such as s3://bucket/dir. "
            "Default: all nodes see --results and --runs."
        ),
    ] = None
    slurm: Annotated[
        list[str] | None,
        Parameter(
            consume_multiple=False,
            help="Option of the jobs, such as gres=gpu:v100:1 or time=24:00:00; repeatable.",
        ),
    ] = None
    gpus_per_training: Annotated[
        int, number("GPUs (or processes of a CPU) that share each training.", 1, 64)
    ] = 1
    clips_at_once: Annotated[
        int | None,
        number(
            "Clips of a batch in memory at a time; the gradient is the batch's. Default: all.",
            1,
            10_000,
        ),
    ] = None
    loaders: Annotated[
        int | None,
        number(
            "Processes of each training that load your data ahead; 0: none. Default: up to 4.",
            0,
            256,
        ),
    ] = None
    memory_limit: Annotated[
        float | None,
        number("GiB of host memory that a process may use; it ends as out of memory.", 0.1, 1e6),
    ] = None
    no_time_limits: Annotated[
        bool,
        Parameter(help="Never end work that takes ten times as long as such work took so far."),
    ] = False

    def settings(self) -> Settings:
        """Resolve the devices and the number of worker processes.

        Raises:
            UserError: if a device does not exist, or is not the expected GPU.
        """
        if self.address is not None and self.executor != "ray":
            raise UserError("--address: has no effect without --executor ray; add it")
        if self.checkpoints is not None and self.executor != "ray":
            raise UserError("--checkpoints: has no effect without --executor ray; add it")
        if self.slurm and self.executor != "slurm":
            raise UserError("--slurm: has no effect without --executor slurm; add it")
        devices = resolve_devices(self.device)
        for device in devices:
            refuse_other_gpu(self.expect_gpu, describe_device(device, self.threads).name)
        cores = max(1, usable_cores() // self.threads)
        each = self.gpus_per_training
        if devices != ("cpu",) and len(devices) < each and self.executor == "local":
            raise UserError(
                f"--gpus-per-training: {each} are asked for, --device {self.device} has "
                f"{len(devices)}; name more GPUs, or all"
            )
        if each > 1 and self.executor == "inline":
            raise UserError(
                "--gpus-per-training: a debugger has one process; leave it out, or choose another "
                "--executor"
            )
        usual = max(1, (cores if devices == ("cpu",) else len(devices)) // each)
        workers = self.workers or (1 if self.executor == "slurm" else usual)
        limit = None if self.memory_limit is None else int(self.memory_limit * 2**30)
        return Settings(
            devices=devices,
            threads=self.threads,
            workers=1 if self.executor == "inline" else workers,
            tensorboard=self.tensorboard,
            clips_at_once=self.clips_at_once,
            loaders=self.loaders,
            executor=self.executor,
            address=self.address,
            checkpoints=self.checkpoints,
            slurm=tuple(self.slurm or ()),
            memory_limit=limit,
            devices_per_training=each,
            time_limits=not self.no_time_limits,
        )
