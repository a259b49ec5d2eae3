"""The command line with the recipes of `ablations/`: `python run_ablations.py --help`."""

if __name__ == "__main__":  # every worker process imports this file, and needs none of it
    import signal
    import sys

    held = signal.getsignal(signal.SIGINT)
    if held is signal.default_int_handler:  # Ctrl-C during imports: no traceback
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    from ifc_bench.cli import main
    from ifc_bench.cli.later import Later

    signal.signal(signal.SIGINT, held)
    sys.exit(main(Later("ablations", "TABLES"), Later("ablations", "PRESETS")))
