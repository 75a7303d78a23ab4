"""Accuracy under attack, of networks whose answers are known."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from recipes import images
from recipes.analyses import attacks
from recipes.analyses.shared.trained import Choice, Trained
from recipes.data.images import sets
from recipes.reporting import pages
from recipes.training import scores
from tests.recipes.analyses.shared.light import Light


def trained(net: nn.Module) -> Trained:
    return Trained(Path(), images.Settings(), {}, net.eval(), sets.load("digits"))


def linear() -> Trained:
    """A network that has learnt the digits, without depth."""
    found = trained(nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    x = found.normalise(found.data.train_x.float() / 255)
    optimizer = torch.optim.Adam(found.net.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(found.net(x), found.data.train_y).backward()
        optimizer.step()
    return found


@pytest.mark.parametrize("figure", attacks.PLANS)
def test_robustness_falls_from_the_clean_accuracy(figure: str) -> None:
    found, plan = linear(), attacks.PLANS[figure]
    clean = scores.accuracy(found.logits(), found.data.test_y)
    assert clean > 90
    sizes = (0.0, 0.02, 0.3)
    by_attack = attacks.accuracies(found, plan, sizes, batch_size=100)
    for name, (start, little, much) in by_attack.items():
        assert start == pytest.approx(clean)
        if name not in ("uniform noise", "CW"):  # seven steps of CW do not get away from black and white
            assert start > little > much
    worst = by_attack.pop(attacks.WORST, None)
    assert (worst is None) == (len(plan.attacks) == 1)
    if worst is not None:
        assert all(each <= min(column) for each, *column in zip(worst, *by_attack.values(), strict=True))


def test_the_worst_case_is_that_of_each_image() -> None:
    """Two attacks that each fool another half leave nothing right, though each leaves half."""
    data = sets.load("digits")
    zeros = replace(data, test_x=data.test_x[:10], test_y=torch.zeros(10, dtype=torch.int64))
    found = Trained(Path(), images.Settings(), {}, Light(), zeros)
    odd = (torch.arange(10) % 2 == 1).view(-1, 1, 1, 1)
    darker = {
        "odd": lambda model, x, y, epsilons: iter([torch.where(odd, -x.abs() - 1, x.abs() + 1)]),
        "even": lambda model, x, y, epsilons: iter([torch.where(odd, x.abs() + 1, -x.abs() - 1)]),
    }
    plan = attacks.Plan(darker, (1.0,), True, "", (), "")
    assert attacks.accuracies(found, plan, (1.0,), 10) == {"odd": [50.0], "even": [50.0], attacks.WORST: [0.0]}


slow = pytest.mark.slow  # hundreds of gradients of four networks


@pytest.mark.parametrize(
    "figure", [pytest.param("fmix-1", marks=slow), "patchup-5", pytest.param("patchup-table-5", marks=slow)]
)
def test_the_page_has_its_command_numbers_and_claims(figure: str, smoke_runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "attacks.md"
    words = [str(smoke_runs), "--smoke", "--device", "cpu", "--figure", figure, "--out", str(out)]
    pages.main("analyses.attacks", attacks.Settings, attacks.page, words)
    page = out.read_text(encoding="utf-8")
    assert f"Made by `python -m recipes.analyses.attacks {smoke_runs} --smoke" in page
    assert len(re.findall(r"^\| (?:baseline|mixup) \| 2 \|", page, re.MULTILINE)) >= 2
    assert attacks.PLANS[figure].caption in page
    table = (tmp_path / "attacks.csv").read_text().splitlines()
    assert len(table) == 1 + 4  # two methods, two seeds
    assert (tmp_path / "attacks.png").exists() == ("](attacks.png)" in page) == (figure != "patchup-table-5")


def test_some_attacks_are_no_worst_case(smoke_runs: Path) -> None:
    choice = Choice(smoke_runs, methods=("mixup",), smoke=True)
    some = attacks.Settings(choice, attacks=("uniform noise", "FGSM"), epsilons=(0.0, 0.1))
    page = attacks.page(some, "")
    assert "| method | n | FGSM | uniform noise |" in page.text
    assert "worst case |" not in page.text
    assert [line.split(",")[0] for line in page.texts[".csv"].splitlines()] == ["method", "mixup", "mixup"]


@pytest.mark.parametrize(
    ("mixup", "words"),
    [
        ((1.5, 1.0, 4.5), "+0.00 ± 2.15 points, has 0 in it, as the paper has it"),
        ((3.0, 4.1, 6.2), "+2.10 ± 0.25 points, is above 0: mixup is ahead, which the paper does not have"),
        ((0.0, 0.9, 2.8), "−1.10 ± 0.25 points, is below 0: mixup is behind, which the paper does not have"),
    ],
)
def test_a_claim_of_little_difference_can_fail(mixup: tuple[float, ...], words: str) -> None:
    measured = {attacks.WORST: {"baseline": {0: 1.0, 1: 2.0, 2: 4.0}, "mixup": dict(enumerate(mixup))}}
    (found,) = attacks.alike(attacks.FMIX_1.alike, measured)
    assert f"the interval of mixup minus baseline, {words}." in found
    assert attacks.alike(attacks.FMIX_1.alike, {attacks.WORST: {"mixup": {0: 1.0}}}) == []
    assert attacks.alike(None, measured) == []


def test_what_cannot_be_measured_is_refused() -> None:
    for wrong in ({"epsilons": ()}, {"epsilons": (-0.1,)}, {"batch_size": 0}, {"attacks": ("rain",)}, {"attacks": ()}):
        with pytest.raises(ValueError, match=f"^{next(iter(wrong))}="):
            attacks.Settings(**wrong)


def test_networks_see_the_same_draws(smoke_runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise and random starts do not depend on how many networks were attacked before."""
    drawn = []
    monkeypatch.setattr(attacks, "accuracies", lambda *given: drawn.append(torch.rand(3)) or {"FGSM": [1.0]})
    attacks.page(attacks.Settings(Choice(smoke_runs, smoke=True), figure="patchup-5", epsilons=(0.1,)), "")
    assert len(drawn) == 4
    assert all(torch.equal(each, drawn[0]) for each in drawn)
