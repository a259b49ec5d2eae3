"""cuBLAS's workspace, which torch's allocator holds from the first matrix product on.

Source: torch's aten/src/ATen/cuda/CublasHandlePool.cpp (`parseChosenWorkspaceSize`): one workspace
for each thread and stream, of :4096:2:16:8 KiB, or of 32 MiB on compute capability 9, 10 and 12.
The environment's CUBLAS_WORKSPACE_CONFIG replaces it, which is not followed here.
"""

from __future__ import annotations

_SMALL = (4096 * 2 + 16 * 8) << 10
_LARGE = 32 << 20
_LARGE_SINCE_HOPPER = ("9", "10", "12")


def workspace_bytes(compute_capability: str | None, threads: int = 1) -> int:
    """Return the bytes of `threads` workspaces; 0 where the compute capability is not known.

    Inference runs in one thread. In training autograd's own thread has a second workspace.
    """
    if compute_capability is None:
        return 0
    major = compute_capability.partition(".")[0]
    return threads * (_LARGE if major in _LARGE_SINCE_HOPPER else _SMALL)
