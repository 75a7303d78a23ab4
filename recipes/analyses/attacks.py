"""Accuracy under adversarial attacks, of networks of `recipes.images`.

Claim (Harris et al. 2020, Figure 1): networks trained with MixUp are more robust to uniform noise and DeepFool than the
baseline and CutMix; in the worst case over all attacks there is little difference.

    python -m recipes.analyses.attacks RUNS --figure fmix-1 --out docs/results/attacks-fmix.md

Claim (Faramarzi et al. 2022): PatchUp is more robust to adversarial attacks. Figures 5 and 13 show it for FGSM, without
printed numbers; here it is judged against the baseline and CutMix. Table 5: with soft PatchUp and Manifold Mixup 0.19
to 0.20 of the images of Tiny-ImageNet stay right, with the baseline 0.17 to 0.18.

    python -m recipes.analyses.attacks RUNS --figure patchup-5 --out docs/results/attacks-patchup.md
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from matplotlib.figure import Figure
from torch import Tensor

from recipes.analyses.shared import writing
from recipes.analyses.shared.trained import Choice, Trained, networks
from recipes.measuring.attacking import bounded, minimal
from recipes.measuring.attacking.robust import Sized, at_each, cut_to, right
from recipes.pictures import conditions
from recipes.reporting import intervals, pages
from recipes.reporting.intervals import Claim, Values

WORST = "worst case"
STEPS = 7
"""Steps of the attacks of PatchUp's Table 5."""


@dataclass(frozen=True)
class Settings:
    """Attack the test images and report what the networks still get right."""

    choice: tyro.conf.OmitArgPrefixes[Choice] = field(default_factory=Choice)
    """Which networks, and on which images."""
    figure: Literal["fmix-1", "patchup-5", "patchup-table-5"] = "fmix-1"
    """Whose attacks to run: Figure 1 of the FMix paper, Figures 5 and 13 or Table 5 of the PatchUp paper."""
    attacks: tuple[str, ...] | None = None
    """Only some of the figure's attacks, such as "uniform noise"; all by default."""
    epsilons: tuple[float, ...] | None = None
    """Largest changes of a value, replacing the figure's: pixels in [0, 1], or in standard deviations (patchup-5)."""
    batch_size: int = 250
    """Images that are attacked together."""
    seed: int = 0
    """Seed of random starts and noise, which are the same for all networks."""
    out: Path | None = None
    """File for the page, in Markdown; pictures and a table of all numbers are put beside it."""

    def __post_init__(self) -> None:
        if self.epsilons is not None and not (self.epsilons and min(self.epsilons) >= 0):
            raise ValueError(f"epsilons={self.epsilons} must be at least one number of 0 or more")
        known = PLANS[self.figure].attacks
        if self.attacks is not None and not (self.attacks and {*self.attacks} <= known.keys()):
            raise ValueError(f"attacks={self.attacks} must be among {', '.join(map(repr, known))}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size={self.batch_size} must be 1 or more")


@dataclass(frozen=True, eq=False)
class Plan:
    """The attacks of a figure of a paper.

    Args:
        attacks: by name.
        epsilons: sizes of the change.
        standardised: whether standardised images are attacked, rather than pixels in [0, 1].
        caption: what the paper claims.
        claims: the same as claims about methods, for the mean over the sizes above 0.
        alike: an attack and two methods between which the paper sees little difference.
        notes: how the attacks are defined here.
    """

    attacks: Mapping[str, Sized]
    epsilons: tuple[float, ...]
    standardised: bool
    caption: str
    claims: tuple[Claim, ...]
    notes: str
    alike: Claim | None = None


def _of_linf_size(x: Tensor, found: Tensor, epsilon: float) -> Tensor:
    """Cut to the Euclidean norm of a change of all values by `epsilon`."""
    return minimal.within_l2(x, found, epsilon * x[0].numel() ** 0.5)


def _claims(source: str, quantities: Sequence[str], pairs: Sequence[tuple[str, str]]) -> tuple[Claim, ...]:
    return tuple(Claim(quantity, lower, higher, source) for quantity in quantities for lower, higher in pairs)


FMIX_1 = Plan(
    attacks={
        "FGSM": at_each(partial(bounded.fgsm, spare=True)),
        "PGD": at_each(partial(bounded.pgd, spare=True)),
        "BIM": at_each(partial(bounded.bim, spare=True)),
        "uniform noise": at_each(lambda model, x, y, epsilon: bounded.uniform_noise(x, epsilon)),
        "DeepFool": cut_to(minimal.deepfool, minimal.within_linf),
    },
    epsilons=(0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.1, 0.3, 0.5, 1),
    standardised=False,
    caption="Harris et al. 2020, Figure 1: MixUp is more robust than the baseline and CutMix to uniform noise and "
    "DeepFool; in the worst case over the attacks there is little difference",
    claims=_claims("FMix, Figure 1", ("uniform noise", "DeepFool"), (("baseline", "mixup"), ("cutmix", "mixup"))),
    notes="Pixels in [0, 1] are attacked in the maximum norm, with Foolbox's defaults: FGSM in one step; PGD in 40 "
    "steps of ε/30 from a random start; BIM in 10 of ε/5; one draw of noise; DeepFool in at most 50 steps among 10 "
    "classes, with its changes cut to ε. All but the noise spare images that the network already gets wrong. In the "
    "worst case an image counts as right if no attack of that ε makes the network err.",
    alike=Claim(WORST, "baseline", "mixup", "FMix, Figure 1"),
)
PATCHUP = tuple((other, patchup) for other in ("baseline", "cutmix") for patchup in ("patchup-soft", "patchup-hard"))
PATCHUP_5 = Plan(
    attacks={"FGSM": bounded.fgsm_standardised},
    epsilons=(0, 0.05, 0.1, 0.12, 0.15, 0.18, 0.2),
    standardised=True,
    caption="Faramarzi et al. 2022, Figures 5 and 13: PatchUp is more robust to FGSM, which is judged here against the "
    "baseline and CutMix",
    claims=_claims("PatchUp, Figures 5 and 13", ("FGSM",), PATCHUP),
    notes="Standardised images are attacked, as in the authors' code: ε is in standard deviations, and values stay "
    "between the smallest and the largest of their batch (`--batch-size`).",
)
PATCHUP_TABLE_5 = Plan(
    attacks={
        "DeepFool": cut_to(partial(minimal.deepfool, steps=STEPS), minimal.within_linf),
        "DDN": cut_to(partial(minimal.ddn, steps=STEPS), _of_linf_size),
        "CW": cut_to(partial(minimal.carlini_wagner, steps=STEPS), _of_linf_size),
        "PGD": at_each(partial(bounded.pgd, steps=STEPS, step_size=2 / 255, spare=True)),
    },
    epsilons=(8 / 255,),
    standardised=False,
    caption="Faramarzi et al. 2022, Table 5: 0.17 to 0.20 of the images of Tiny-ImageNet are still classified "
    "correctly, more with Manifold Mixup, MixUp and soft PatchUp than with the baseline, and as many with CutMix",
    claims=_claims(
        "PatchUp, Table 5",
        ("DeepFool", "DDN", "CW", "PGD"),
        (("baseline", "patchup-soft"), ("baseline", "manifold-mixup"), ("cutmix", "patchup-soft")),
    ),
    notes="The paper defines its attacks only by 7 steps and ε = 8/255. Here pixels in [0, 1] are attacked. DeepFool "
    "and PGD (step 2/255, random start) are in the maximum norm; DDN (first norm 1, γ 0.05) and CW (9 weights starting "
    "at 0.001, Adam with a rate of 0.01) are in the Euclidean norm, and their changes are cut to ε·√d for images of d "
    "values, which is the length of a change of all values by ε.",
)
PLANS = {"fmix-1": FMIX_1, "patchup-5": PATCHUP_5, "patchup-table-5": PATCHUP_TABLE_5}


def accuracies(trained: Trained, plan: Plan, epsilons: Sequence[float], batch_size: int) -> dict[str, list[float]]:
    """Percentage of the test images that a network gets right, for each size, by attack and in the worst case."""

    def on_pixels(x: Tensor) -> Tensor:
        logits: Tensor = trained.net(trained.normalise(x))
        return logits

    batches: dict[str, list[Tensor]] = {name: [] for name in (*plan.attacks, WORST)}
    for pixels, y in trained.batches(batch_size):
        x = trained.normalise(pixels) if plan.standardised else pixels
        model = trained.net if plan.standardised else on_pixels
        found = {name: right(attack, model, x, y, epsilons) for name, attack in plan.attacks.items()}
        found[WORST] = torch.stack(list(found.values())).all(dim=0)
        for name, hits in found.items():
            batches[name].append(hits.double().cpu())
    names = [name for name in batches if name != WORST or len(plan.attacks) > 1]
    return {name: (100 * torch.cat(batches[name], dim=1).mean(dim=1)).tolist() for name in names}


def page(settings: Settings, command: str) -> pages.Page:
    """Attack all networks; returns the page and the files beside it."""
    plan = PLANS[settings.figure]
    names = settings.attacks or tuple(plan.attacks)
    plan = replace(plan, attacks={name: attack for name, attack in plan.attacks.items() if name in names})
    epsilons = plan.epsilons if settings.epsilons is None else settings.epsilons
    if settings.choice.smoke:
        epsilons = epsilons[:: max(1, len(epsilons) // 2)]
    measured: dict[str, dict[float, dict[str, dict[int, float]]]] = {}
    start, runs = None, 0
    for trained in networks(settings.choice):
        start, runs = start or trained, runs + 1
        torch.manual_seed(settings.seed)
        for name, scores in accuracies(trained, plan, epsilons, settings.batch_size).items():
            if name == WORST and settings.attacks is not None:  # the figure's is over all of its attacks
                continue
            for epsilon, score in zip(epsilons, scores, strict=True):
                by_method = measured.setdefault(name, {}).setdefault(epsilon, {})
                by_method.setdefault(trained.method, {})[trained.seed] = score
    assert start is not None  # there is at least one
    made, name = writing.made_by(command, start, runs), writing.name_of(settings.out, "attacks")
    return pages.Page(
        text(settings, plan, measured, made, name),
        {".png": picture(measured)} if len(epsilons) > 1 else {},
        {".csv": intervals.csv_text({f"{a} {e:g}": by for a, sizes in measured.items() for e, by in sizes.items()})},
    )


def means(measured: Mapping[str, Mapping[float, Values]]) -> dict[str, Values]:
    """The mean over the sizes above 0, by attack.

    >>> means({"FGSM": {0.0: {"mixup": {5: 90.0}}, 0.1: {"mixup": {5: 60.0}}, 0.2: {"mixup": {5: 20.0}}}})
    {'FGSM': {'mixup': {5: 40.0}}}
    """
    found: dict[str, Values] = {}
    for name, sizes in measured.items():
        counted = [by_method for epsilon, by_method in sizes.items() if epsilon > 0] or list(sizes.values())
        found[name] = {
            method: {seed: sum(each[method][seed] for each in counted) / len(counted) for seed in seeds}
            for method, seeds in counted[0].items()
        }
    return found


def alike(claim: Claim | None, measured: Mapping[str, Values]) -> list[str]:
    """What the interval says about two methods that a paper sees as alike; empty if they were not run.

    >>> values = {"worst case": {"baseline": {0: 1.0, 1: 2.0, 2: 4.0}, "mixup": {0: 1.5, 1: 1.0, 2: 4.5}}}
    >>> alike(Claim("worst case", "baseline", "mixup", "FMix"), values)[0].split(": ")[1]
    'the interval of mixup minus baseline, +0.00 ± 2.15 points, has 0 in it, as the paper has it.'
    """
    if claim is None or claim.quantity not in measured:
        return []
    values = measured[claim.quantity]
    gap = intervals.difference(values.get(claim.higher, {}), values.get(claim.lower, {}))
    if gap is None:
        return []
    ahead = {"holds": f"is above 0: {claim.higher} is ahead", "contradicted": f"is below 0: {claim.higher} is behind"}
    found = ahead.get(intervals.verdict(gap))
    told = "has 0 in it, as the paper has it" if found is None else f"{found}, which the paper does not have"
    pair = f"{claim.higher} minus {claim.lower}, {intervals.cell(gap, 2, '+')} points"
    return [f"Little difference in the {claim.quantity} ({claim.source}): the interval of {pair}, {told}."]


def picture(measured: Mapping[str, Mapping[float, Values]]) -> Figure:
    """Accuracy against the size of the change, a panel for each attack."""
    panels: dict[str, dict[str, dict[float, conditions.Band]]] = {}
    for name, sizes in measured.items():
        for epsilon, by_method in sizes.items():
            for method, seeds in by_method.items():
                found = intervals.interval(list(seeds.values()))
                panels.setdefault(name, {}).setdefault(method, {})[epsilon] = found.mean, found.half
    least = min(epsilon for epsilon in next(iter(measured.values())) if epsilon > 0)
    return conditions.curves(panels, xlabel="ε", ylabel="accuracy (%)", threshold=least)


def text(settings: Settings, plan: Plan, measured: Mapping[str, Mapping[float, Values]], made: str, name: str) -> str:
    """The page."""
    sizes = list(next(iter(measured.values())))
    whole = f", averaged over ε of {', '.join(f'{size:g}' for size in sizes if size > 0)}" if len(sizes) > 1 else ""
    page = writing.text(
        title=f"Accuracy under attack ({settings.figure})",
        about=f"The percentage of test images that are still classified correctly{whole}. {plan.notes}",
        made=made,
        measured=means(measured),
        digits=2,
        claims=[claim for claim in plan.claims if claim.quantity in measured],
        pictures={".png": f"{plan.caption}. Bands are 95 % t-intervals over the seeds."} if len(sizes) > 1 else {},
        name=name,
        judged=alike(plan.alike, means(measured)),
    )
    if len(sizes) == 1:
        return f"{page}\n*{plan.caption}.*\n"
    tables = (
        f"## {attack}\n\n{intervals.value_table({f'ε = {size:g}': by for size, by in by_size.items()}, 2)}\n"
        for attack, by_size in measured.items()
    )
    return "\n".join([page, *tables])


if __name__ == "__main__":
    pages.main("analyses.attacks", Settings, page)
