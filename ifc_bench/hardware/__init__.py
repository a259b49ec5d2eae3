"""GPUs and CPUs: a catalogue of GPUs, NVML readings, and the device that work runs on."""
