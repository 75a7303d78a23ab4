"""What the papers vary and what they say about it, as grids of a recipe's options."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Options = tuple[tuple[str, str], ...]
"""Names and values of a cell of a grid."""
Cell = Mapping[str, str]
"""The same as a mapping."""


@dataclass(frozen=True)
class Plan:
    """A figure or table of a paper.

    Args:
        grid: the options it varies, as NAME=VALUE,VALUE,...
        words: further words of the command line.
        claim: what the paper says.
        below: whether it says, given the options of two cells, that the first has the lower score; None where it says
            nothing that a difference could confirm.
        over: the method whose score the plot subtracts from those of the others; if empty, the plot shows scores.
    """

    grid: tuple[str, ...]
    words: str
    claim: str
    below: Callable[[Cell, Cell], bool] | None = None
    over: str = ""


def _in_turn(low: Cell, high: Cell) -> bool:
    """Alternating both methods beats the others; MixUp beats FMix on few images, and FMix MixUp on many."""
    size = int(low["per_class"])
    if low["per_class"] != high["per_class"]:
        return False
    if high["method"] == "fmix+mixup":
        return low["method"] != high["method"]
    few = {("fmix", "mixup")} if size <= FEW else set()
    many = {("mixup", "fmix")} if size >= MANY else set()
    return (low["method"], high["method"]) in few | many


def _early(low: Cell, high: Cell) -> bool:
    """A site beats the next one, several sites beat the first, and a box at the input beats blocks there."""
    place = {"layer3": 0, "layer2": 1, "layer1": 2, ALL: 3}
    if low["patchup_input"] != high["patchup_input"]:
        return low["sites"] == high["sites"] and high["patchup_input"] == "box"
    return place[high["sites"]] == place[low["sites"]] + 1


def _ahead(low: Cell, high: Cell) -> bool:
    """Every method beats the baseline."""
    return low["method"] == BASELINE != high["method"] and {**low, "method": ""} == {**high, "method": ""}


BASELINE = "baseline"
FEW, MANY = 100, 5000
"""Images per class, well to either side of where the curves of the paper's figure cross."""
ALL = "input layer1 layer2"
SITES = f"sites+patchup_input=layer1+box,layer2+box,layer3+box,{ALL}+box,{ALL}+blocks"
FIGURES = {
    "fmix-3-alpha": Plan(
        ("alpha=0.2,0.5,1,2,3,4,5,7",),
        "--method fmix",
        "Harris et al. 2020, Figure 3: accuracy hardly depends on alpha",
    ),
    "fmix-3-delta": Plan(
        ("decay_power=0.5,1,1.5,2,3,4,5,7",),
        "--method fmix",
        "Harris et al. 2020, Figure 3: accuracy falls for a decay power below 2 and is flat above",
        lambda low, high: float(low["decay_power"]) < 2 and float(high["decay_power"]) == 3,
    ),
    "fmix-4": Plan(
        (
            "method=baseline,mixup,fmix,fmix+mixup",
            "per_class+epochs=50+20000,100+10000,250+4000,500+2000,1000+1000,2000+500,3000+333,4000+250,5000+200",
        ),
        "--evaluate-every 0",
        "Harris et al. 2020, Figure 4: alternating FMix and MixUp is best for training sets of any size; MixUp is "
        "ahead of FMix on small ones and behind on large ones. Sizes are ours; all take as many steps as 200 epochs of "
        "all 50,000 images",
        _in_turn,
    ),
    "scaling": Plan(
        (
            f"method={BASELINE},mixup,cutmix,fmix",
            "width+per_class+epochs=8+50+197,8+500+20,8+5000+2,16+500+20,32+500+20",
        ),
        "--evaluate-every 0",
        "Harris et al. 2020, Table II: on all 50,000 images, at width 64 and after 78,000 steps, MixUp gains 1.03 "
        "points, CutMix 1.37 and FMix 1.51. Widths, sizes and the 1,580 steps with batches of 64 are ours",
        _ahead,
        BASELINE,
    ),
    "patchup-table-7": Plan(
        (SITES,),
        "--method patchup-hard",
        "Faramarzi et al. 2022, Table 7: the error of hard PatchUp grows with the depth of a fixed site and is lowest "
        "with a random one; there it is higher with blocks at the input in place of a box",
        _early,
    ),
    "patchup-gamma": Plan(
        ("method=patchup-soft,patchup-hard", "gamma=0.25,0.5,0.75,0.9"),
        "",
        "Faramarzi et al. 2022: they use a share of 0.75 for soft and 0.5 for hard PatchUp, and print no scores",
    ),
    "patchup-block": Plan(
        ("method=patchup-soft,patchup-hard", "block_size=3,5,7,9"),
        "",
        "Faramarzi et al. 2022: they use blocks of 7 cells, and print no scores",
    ),
    "patchup-prob": Plan(
        ("method=patchup-soft,patchup-hard", "prob=0.3,0.5,0.7,0.9,1"),
        "",
        "Faramarzi et al. 2022: they mix all batches with soft PatchUp and 7 in 10 with hard, and print no scores",
    ),
}
SMOKE = Plan(("method=fmix", "alpha=0.5,1"), "--smoke --width 4 --device cpu --evaluate-every 0", "none")
