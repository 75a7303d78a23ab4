"""The table of faults and what came of each: `python -m tests.faults.table`, which writes docs/results/faults.md."""

import argparse
import platform
import re
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from accelerate.state import AcceleratorState

from recipes.training import records
from tests.faults.cases import CASES, Case, outcome

TEXT = """# Faults

Each fault is provoked for real: files that cannot grow, a signal, a second process, allocations that fail. The run is a
small network on noise that is stopped in the third of four epochs. Each row has the command's last message and its exit
code; what is left half-written; and whether `--resume`, once the cause is gone, ends with the losses and the score of
an undisturbed run, bit for bit.
"""
HEAD = "| fault | sentence | exit code | half-written | `--resume` afterwards |\n|---|---|---|---|---|"


def row(case: Case) -> str:
    """A line of the table."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        found = outcome(case, folder)
    AcceleratorState._reset_state(reset_partial_state=True)
    said = found.said.replace(name, "OUT").replace("|", "\\|")
    said = re.sub(r"process \d+ on \S+:", "process 4711 on HOST:", said)
    said = re.sub(r"PuzzleMix\(.*per_sample=False\)", "PuzzleMix(…)", said)
    after = {None: "–", True: "bit for bit", False: "**differs**"}[found.resumed]
    return f"| {case.fault} | {said} | {found.code} | {', '.join(found.left) or 'nothing'} | {after} |"


def page() -> str:
    """The whole page."""
    parts = [TEXT]
    for group, cases in CASES.items():
        parts += [f"## {group}\n", HEAD + "\n" + "\n".join(row(case) for case in cases.values()) + "\n"]
    made = f"Made by `python -m tests.faults.table` at {records.environment()['git']} with torch {torch.__version__}, "
    return "\n".join([*parts, made + f"{platform.system()}, {records.device_name(torch.device('cpu'))}.\n"])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("docs/results/faults.md"))
    torch.set_num_threads(1)
    records.write_text(parser.parse_args().out, page())
