"""The curves of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure


def curves(entries: Sequence[Mapping[str, Any]], metric: str, unit: str = "%") -> Figure:
    """Loss, scores and learning rate over the epochs of `metrics.jsonl`."""
    figure = Figure(figsize=(11, 3.2), layout="constrained")
    loss, score, rate = figure.subplots(1, 3)
    epochs = [entry["epoch"] for entry in entries]
    loss.plot(epochs, [entry["train_loss"] for entry in entries], color="black")
    loss.set_ylabel("training loss (mixed batches)")
    if all(f"train_{metric}" in entry for entry in entries):
        score.plot(
            epochs, [entry[f"train_{metric}"] for entry in entries], color="0.6", label="training, mixed batches"
        )
    tested = [entry for entry in entries if f"test_{metric}" in entry]
    last = tested[-1][f"test_{metric}"]
    shown = [entry["epoch"] for entry in tested], [entry[f"test_{metric}"] for entry in tested]
    score.plot(*shown, color="tab:blue", marker="o", markersize=3, label=f"test, {last:.2f} at the end")
    score.set_ylabel(f"{metric} ({unit})")
    score.legend(fontsize="small", loc="lower right")
    rate.plot(epochs, [entry["lr"] for entry in entries], color="black")
    rate.set_ylabel("learning rate")
    for axes in (loss, score, rate):
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    return figure
