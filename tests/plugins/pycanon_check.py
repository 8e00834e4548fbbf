"""Prints what pycanon finds in a table. Runs under an interpreter of its own, as pycanon pins what we use otherwise.

Usage: ``python pycanon_check.py table.csv``. The table holds quasi-identifiers (q_…) and sensitive columns (s_…).
"""

import json
import sys

import pandas as pd
from pycanon import anonymity


def main() -> None:
    """Read the table, print one line of JSON."""
    table = pd.read_csv(sys.argv[1], keep_default_na=False)
    hidden = [name for name in table.columns if name.startswith("q_")]
    sensitive = [name for name in table.columns if name.startswith("s_")]
    found = {"k": int(anonymity.k_anonymity(table, hidden)), "l": {}, "entropy": {}, "t": {}}
    for name in sensitive:
        found["l"][name] = int(anonymity.l_diversity(table, hidden, [name]))
        found["entropy"][name] = float(anonymity.entropy_l_diversity(table, hidden, [name]))
        found["t"][name] = float(anonymity.t_closeness(table, hidden, [name]))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
