"""Our attacks on models whose boundaries are known."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from recipes.measuring.attacking import bounded, minimal

SHAPE = (3, 4, 4)
BOUNDED = [
    bounded.fgsm,
    bounded.bim,
    bounded.pgd,
    lambda model, x, y, epsilon: bounded.uniform_noise(x, epsilon),
]
MINIMAL = [
    minimal.deepfool,
    minimal.ddn,
    lambda model, x, y: minimal.carlini_wagner(model, x, y, searches=2, steps=30, lr=0.005, weight=1.0),
]


def plane(rows: int = 20) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor, Tensor, Tensor]:
    """Two classes on either side of a plane: model, images, labels that it gives them, normal and gap of the logits."""
    normal = torch.randn(SHAPE)
    x = 0.4 + 0.2 * torch.rand(rows, *SHAPE)

    def model(images: Tensor) -> Tensor:
        score = ((images - 0.5) * normal).flatten(1).sum(1)
        return torch.stack([score, -score], dim=1)

    logits = model(x)
    return model, x, logits.argmax(1), normal, (logits[:, 0] - logits[:, 1]).abs() / 2


@pytest.mark.parametrize("attack", BOUNDED)
@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.7])
def test_no_value_is_changed_by_more_than_epsilon(attack: Callable[..., Tensor], epsilon: float) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 5))
    x, y = torch.rand(9, *SHAPE), torch.randint(5, (9,))
    kept = x.clone()
    found = attack(net, x, y, epsilon)
    assert (found - x).abs().max() <= epsilon + 1e-6
    assert found.min() >= 0
    assert found.max() <= 1
    assert torch.equal(x, kept)
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not found.requires_grad
    assert epsilon == 0 or not torch.equal(found, x)


def longer_pgd(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, epsilon: float) -> Tensor:
    """The usual 40 steps of a thirtieth do not lead from one corner to the other."""
    return bounded.pgd(model, x, y, epsilon, step_size=epsilon / 10)


@pytest.mark.parametrize("attack", [bounded.fgsm, bounded.bim, longer_pgd])
def test_gradient_attacks_reach_the_corner_of_the_box(attack: Callable[..., Tensor]) -> None:
    """The loss of two classes grows along one direction, so its largest value is in the corner that the sign names."""
    model, x, y, normal, _ = plane()
    found = attack(model, x, y, 0.05)
    toward = torch.where(y == 0, -1.0, 1.0).view(-1, 1, 1, 1) * normal.sign()
    assert torch.allclose(found, x + 0.05 * toward, atol=1e-6)


@pytest.mark.parametrize("attack", [bounded.fgsm, bounded.bim, bounded.pgd])
def test_images_that_are_wrong_already_are_spared(attack: Callable[..., Tensor]) -> None:
    """They stay as they are, and the others are attacked as in their absence, from the same random start."""
    model, x, y, _, _ = plane()
    y[::3] = 1 - y[::3]
    torch.manual_seed(5)
    found = attack(model, x, y, 0.05, spare=True)
    torch.manual_seed(5)
    usual = attack(model, x, y, 0.05)
    assert torch.equal(found[::3], x[::3])
    assert not torch.equal(usual[::3], x[::3])
    right = torch.arange(len(x)) % 3 != 0
    assert torch.equal(found[right], usual[right])
    assert torch.equal(attack(model, x, 1 - model(x).argmax(1), 0.05, spare=True), x)


def test_noise_is_uniform() -> None:
    noise = bounded.uniform_noise(torch.full((100, *SHAPE), 0.5), 0.25) - 0.5
    n = noise.numel()
    assert abs(noise.mean()) < 4.5 * 0.25 / math.sqrt(3 * n)
    assert abs(noise.square().mean() - 0.25**2 / 3) < 4.5 * 0.25**2 * math.sqrt((1 / 5 - 1 / 9) / n)


def test_a_negative_size_is_refused() -> None:
    model, x, y, _, _ = plane()
    with pytest.raises(ValueError, match=r"epsilon=-0.1 must be 0 or more"):
        bounded.fgsm(model, x, y, -0.1)


def test_deepfool_crosses_a_plane_at_its_distance() -> None:
    """In the maximum norm a plane is as far as the gap over the sum of the normal's magnitudes."""
    model, x, y, normal, gap = plane()
    found = minimal.deepfool(model, x, y)
    assert (model(found).argmax(1) != y).all()
    far = (found - x).flatten(1).abs().amax(1)
    assert torch.allclose(far, 1.02 * (gap / normal.abs().sum() + 1e-4), rtol=1e-3)


@pytest.mark.parametrize("attack", MINIMAL[1:])
def test_euclidean_attacks_find_a_plane_close_to_its_distance(attack: Callable[..., Tensor]) -> None:
    model, x, y, normal, gap = plane()
    found = attack(model, x, y)
    assert (model(found).argmax(1) != y).all()
    far, least = (found - x).flatten(1).norm(dim=1), gap / normal.norm()
    assert (far >= least * (1 - 1e-4)).all()
    assert (far <= 1.15 * least + 0.06).all()


@pytest.mark.parametrize("attack", MINIMAL)
def test_what_is_wrong_already_stays(attack: Callable[..., Tensor]) -> None:
    model, x, y, _, _ = plane()
    found = attack(model, x, 1 - y)
    assert (found - x).abs().max() < 1e-5


@pytest.mark.parametrize("attack", [bounded.bim, minimal.deepfool, minimal.ddn, MINIMAL[2]])
def test_an_image_is_attacked_as_it_is_alone(attack: Callable[..., Tensor]) -> None:
    """None of the others in its batch plays a part, of which some are done earlier."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(16, 5)).double()
    x = torch.rand(3, *SHAPE, dtype=torch.float64)
    y = net(x).argmax(1)
    y[0] = (y[0] + 1) % 5
    arguments = (0.05,) if attack is bounded.bim else ()
    together = attack(net, x, y, *arguments)
    for row in range(3):
        alone = attack(net, x[row : row + 1], y[row : row + 1], *arguments)
        assert torch.allclose(together[row], alone[0], atol=1e-6)


def test_changes_are_cut_to_a_size() -> None:
    x, found = torch.rand(5, *SHAPE), torch.rand(5, *SHAPE)
    found[0] = x[0] + 0.001
    largest = (minimal.within_linf(x, found, 0.1) - x).abs().amax((1, 2, 3))
    assert largest == pytest.approx([0.001] + 4 * [0.1], abs=1e-6)
    lengths = (minimal.within_l2(x, found, 0.3) - x).flatten(1).norm(dim=1)
    assert lengths == pytest.approx([0.001 * math.sqrt(48)] + 4 * [0.3], abs=1e-5)
    assert torch.equal(minimal.within_l2(x, x, 0.3), x)


def test_standardised_images_stay_within_the_batch() -> None:
    """PatchUp's FGSM: a step of epsilon, cut to the least and the largest value of the batch."""
    model, x, y, normal, _ = plane()
    x = (x - 0.5) / 0.2
    y = model(x).argmax(1)
    same, found = bounded.fgsm_standardised(model, x, y, (0.0, 0.2))
    assert torch.equal(same, x)
    toward = torch.where(y == 0, -1.0, 1.0).view(-1, 1, 1, 1) * normal.sign()
    low, high = float(x.min()), float(x.max())
    assert torch.allclose(found, (x + 0.2 * toward).clamp(low, high), atol=1e-6)
    assert found.min() == low
    assert found.max() == high
