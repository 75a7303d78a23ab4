"""Our attacks beside Foolbox's, on a small network and images of their own."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.measuring.attacking import bounded, minimal

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    foolbox = pytest.importorskip("foolbox")

EPSILONS = (0.0, 0.01, 0.1)
Problem = tuple[nn.Module, Tensor, Tensor]


@pytest.fixture(scope="module")
def problem() -> Problem:
    """A network that has learnt which quarter of a noisy image is light, and images that it mostly gets right."""
    torch.manual_seed(0)
    y = torch.randint(4, (256,))
    x = 0.3 + 0.3 * torch.rand(256, 3, 8, 8)
    for place, (row, column) in enumerate(((0, 0), (0, 4), (4, 0), (4, 4))):
        x[y == place, :, row : row + 4, column : column + 4] += 0.15
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Tanh(), nn.Flatten(), nn.Linear(8 * 36, 4))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        F.cross_entropy(net(x), y).backward()
        optimizer.step()
    y[:3] = (y[:3] + 1) % 4  # which the network errs on
    return net.eval(), x[:32], y[:32]


def theirs(name: str, problem: Problem, epsilons: Any, **settings: Any) -> Any:
    """What an attack of Foolbox makes of the images, for each size."""
    net, x, y = problem
    torch.manual_seed(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = foolbox.PyTorchModel(net, bounds=(0, 1), device=torch.device("cpu"))
        attack = getattr(foolbox.attacks, name)(**settings)
        return attack(model, x.clone(), y, epsilons=epsilons)


BOUNDED = {
    "LinfFastGradientAttack": bounded.fgsm,
    "LinfBasicIterativeAttack": bounded.bim,
    "LinfProjectedGradientDescentAttack": bounded.pgd,
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_attacks_are_foolboxs(name: str, problem: Problem) -> None:
    net, x, y = problem
    for epsilon in EPSILONS:
        _, expected, fooled = theirs(name, problem, epsilon)
        torch.manual_seed(1)
        found = BOUNDED[name](net, x, y, epsilon)
        close = (found - expected).abs() < 1e-6
        assert close.double().mean() > 0.999  # the sign of a gradient near 0 follows its rounding
        assert ((net(found).argmax(1) != y) == fooled).all()


@pytest.mark.parametrize(
    ("name", "settings", "attack", "cut"),
    [
        ("LinfDeepFoolAttack", {}, minimal.deepfool, minimal.within_linf),
        (
            "LinfDeepFoolAttack",
            {"steps": 2, "candidates": 3},
            lambda net, x, y: minimal.deepfool(net, x, y, steps=2, candidates=3),
            minimal.within_linf,
        ),
        ("DDNAttack", {}, minimal.ddn, minimal.within_l2),
        ("DDNAttack", {"steps": 7}, lambda net, x, y: minimal.ddn(net, x, y, steps=7), minimal.within_l2),
        (
            "L2CarliniWagnerAttack",
            {"steps": 7, "abort_early": False, "stepsize": 0.1},
            lambda net, x, y: minimal.carlini_wagner(net, x, y, steps=7, lr=0.1),
            minimal.within_l2,
        ),
        (
            "L2CarliniWagnerAttack",
            {"binary_search_steps": 3, "steps": 20, "abort_early": False, "initial_const": 1.0},
            lambda net, x, y: minimal.carlini_wagner(net, x, y, searches=3, steps=20, weight=1.0),
            minimal.within_l2,
        ),
    ],
)
def test_minimal_attacks_are_foolboxs(
    name: str,
    settings: dict[str, Any],
    attack: Callable[..., Tensor],
    cut: Callable[[Tensor, Tensor, float], Tensor],
    problem: Problem,
) -> None:
    net, x, y = problem
    expected, _, fooled = theirs(name, problem, None, **settings)
    found = attack(net, x, y)
    fooled &= expected.flatten(1).any(1)  # a black image is one that no error was found for
    assert fooled.double().mean() > 0.5
    assert ((net(found).argmax(1) != y) == fooled).all()
    assert torch.equal(found[~fooled], x[~fooled])
    assert (found - expected)[fooled].abs().max() < 1e-4
    for epsilon in EPSILONS:
        _, clipped, fooled_within = theirs(name, problem, epsilon, **settings)
        ours = cut(x, found, epsilon)
        assert (ours - clipped)[fooled].abs().max() < 1e-4
        assert ((net(ours).argmax(1) != y) == fooled_within)[fooled].all()
