"""Estimated hours of the experiments on an H100; none of their runs was timed.

A training step counts as three forward passes, one forward and a backward, at an assumed rate; a step of a small
network waits for the host instead. Evaluation, reading and attacks are not counted. The true time may be a third of an
estimate or three times as much.
"""

import math

from recipes.experiments.data import DATA
from recipes.experiments.rows import Row
from recipes.training import presets
from recipes.training.command import Choice, Training

RATE = 20e12
"""Floating-point operations per second, assumed: a twenty-fifth of the peak of an H100 with TF32."""
SHORTEST = 0.01
"""Seconds of a training step that waits for the host, assumed."""
PUZZLE = 53 / 23
"""Hours of Puzzle Mix per hour of the others: 53 and 23 in the PatchUp paper on Tiny-ImageNet (WRN-28-10, a V100)."""
SIDES = {"fashion-mnist": 28, "tiny-imagenet": 64, "bengali": 64, "imagenet": 224, "imagenet-a": 224}
"""Sides of images in pixels that are not 32."""
FORWARD = {
    ("fmix", "preact18", 28): 0.91,
    ("fmix", "preact18", 32): 1.11,
    ("fmix", "preact18", 64): 4.44,
    ("fmix", "wrn28-10", 28): 8.03,
    ("fmix", "wrn28-10", 32): 10.49,
    ("fmix", "densenet190", 28): 14.24,
    ("fmix", "densenet190", 32): 18.60,
    ("fmix", "pyramid272", 32): 8.98,
    ("fmix", "seresnext50", 64): 0.68,
    ("fmix", "resnet101", 224): 15.60,
    ("patchup", "preact18", 32): 1.11,
    ("patchup", "preact34", 32): 2.32,
    ("patchup", "wrn28-10", 32): 11.90,
    ("patchup", "wrn28-10", 64): 11.90,
    ("patchup", "preact101", 64): 5.02,
    ("patchup", "preact152", 64): 7.45,
    ("patchup", "resnet50", 224): 8.18,
}
"""10⁹ operations of the forward pass of an image, by paper, network and image side."""
TOKENS = 400, 128
"""Tokens in a text, and in a text for BERT."""
TEXT = {"cnn": 0.00043, "bilstm": 0.00166, "bert": 0.17}
"""The same for a token: twice the number of weights that it passes through."""
POINTS = 0.28
"""The same for a cloud of 1,000 points."""


def hours(row: Row, method: str = "") -> float | None:
    """Hours of a run of a row, or of all runs of a seed if its command starts them; None if it trains nothing."""
    if row.of:
        return None
    training = _training(row)
    steps = training.epochs * math.ceil(_samples(row) / training.batch_size)
    step: float = max(SHORTEST, 3e9 * _forward(row) * training.batch_size / RATE)
    return steps * step / 3600 * (PUZZLE if method == "puzzlemix" else 1) * max(row.runs, 1)


def total(row: Row, seeds: int) -> float | None:
    """Hours of all methods of a row with this many seeds."""
    found = [hours(row, method) for method in row.methods or ("",)]
    return None if None in found else seeds * sum(each for each in found if each is not None)


def _training(row: Row) -> Training:
    """How it is trained; Figure 4 has as many steps as Table II, and VAEs are small."""
    if row.module == "analyses.mutual_information":
        return Training(epochs=100, batch_size=128)
    table = {"audio": presets.AUDIO, "text": presets.TEXT, "points": presets.POINTS}.get(row.module, presets.IMAGES)
    preset = row.option("--preset") or "fmix-paper"
    found: Training = table[preset](Choice(preset, row.data, row.option("--model"), "baseline"))["training"]
    return found


def _samples(row: Row) -> int:
    needed = DATA[row.data]
    validated = row.option("--preset") == "patchup-paper" and needed.without_validation
    return validated or needed.size


def _forward(row: Row) -> float:
    """10⁹ operations of a forward pass of a sample."""
    if row.module == "analyses.mutual_information":
        return 0.0
    model = row.option("--model") or "preact18"
    if row.module == "text":
        return TEXT[model] * TOKENS[model == "bert"]
    if row.module == "points":
        return POINTS
    return FORWARD[row.table.partition("-")[0], model, SIDES.get(row.data, 32)]
