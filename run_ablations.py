"""The command line with the recipes of `ablations/`: `python run_ablations.py --help`."""

import sys

from ablations import PRESETS, TABLES
from ifc_bench.cli import main

if __name__ == "__main__":
    sys.exit(main(TABLES, PRESETS))
