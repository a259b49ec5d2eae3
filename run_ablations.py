"""The command line with the recipes of `ablations/`: `python run_ablations.py --help`."""

if __name__ == "__main__":  # every worker process reads this file again, and needs none of it
    import sys

    from ablations import PRESETS, TABLES
    from ifc_bench.cli import main

    sys.exit(main(TABLES, PRESETS))
