"""GPUs and processors: the catalogue, what NVML reads, and the device that work runs on."""
