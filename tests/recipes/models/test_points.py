"""PointNet and VoxNet against their published sizes and hand-written forwards."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from recipes.models.points import PointNet, VoxNet

SMALL: list[tuple[str, Callable[[], nn.Module], tuple[int, ...]]] = [
    ("pointnet", lambda: PointNet(width=4, classes=5), (6, 20, 3)),
    ("voxnet", lambda: VoxNet(width=4, classes=5, resolution=16), (6, 1, 16, 16, 16)),
]
small = pytest.mark.parametrize(("build", "shape"), [case[1:] for case in SMALL], ids=[case[0] for case in SMALL])


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_pointnet_has_the_papers_parameters() -> None:
    assert parameters(PointNet(classes=10)) == 803_338


@pytest.mark.parametrize(
    ("width", "channels", "classes", "resolution", "side"), [(32, 1, 10, 32, 6), (8, 2, 3, 17, 2), (4, 1, 2, 11, 1)]
)
def test_voxnet_has_the_layers_parameters(width: int, channels: int, classes: int, resolution: int, side: int) -> None:
    """Counted by hand: a window of 5 with stride 2, one of 3, and pooling make 32 cells to 14, 12 and 6."""
    convolutions = (125 * channels + 27 * width + 2) * width
    dense = (width * side**3 + 1) * 4 * width
    norms = 2 * (width + width + 4 * width)
    head = (4 * width + 1) * classes
    net = VoxNet(width=width, channels=channels, classes=classes, resolution=resolution)
    assert parameters(net) == convolutions + dense + norms + head


def scrambled(net: nn.Module) -> dict[str, Tensor]:
    """The state of a net in double precision whose batch norms have statistics and weights of their own."""
    for name, value in net.double().eval().state_dict().items():
        if name.endswith(("running_mean", ".1.bias", ".2.bias")):
            nn.init.normal_(value, std=0.3)
        elif name.endswith(("running_var", ".1.weight", ".2.weight")) and value.ndim == 1:
            nn.init.uniform_(value, 0.5, 2)
    return net.state_dict()


def normed(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    """Batch norm over axis 1."""
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, var, weight, bias = (state[f"{name}.{key}"].view(1, -1, *[1] * (x.ndim - 2)) for key in keys)
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


def test_pointnet_by_hand() -> None:
    """Every point is mapped alone, by the same matrices; no ReLU before the maximum."""
    net = PointNet(width=4, classes=5)
    state = scrambled(net)
    x = torch.randn(3, 7, 3, dtype=torch.float64)
    points = x.reshape(21, 3)
    for layer in (1, 2, 3):
        points = points @ state[f"layer{layer}.0.weight"][:, :, 0].T + state[f"layer{layer}.0.bias"]
        points = normed(state, f"layer{layer}.1", points)
        points = points.clamp(min=0) if layer < 3 else points
    features = points.view(3, 7, 64).max(1).values
    assert features.min() < 0, "a last ReLU would hide nothing here"
    for layer in (4, 5):
        features = features @ state[f"layer{layer}.0.weight"].T + state[f"layer{layer}.0.bias"]
        features = normed(state, f"layer{layer}.1", features).clamp(min=0)
    torch.testing.assert_close(net(x), features @ state["head.weight"].T + state["head.bias"])


def test_voxnet_by_hand() -> None:
    net = VoxNet(width=3, classes=5, resolution=16)
    state = scrambled(net)
    x = torch.randn(3, 1, 16, 16, 16, dtype=torch.float64)
    features = F.conv3d(x, state["stem.0.weight"], state["stem.0.bias"], stride=2)
    features = normed(state, "stem.1", features).clamp(min=0)
    features = normed(state, "layer1.1", F.conv3d(features, state["layer1.0.weight"], state["layer1.0.bias"]))
    features = F.max_pool3d(features.clamp(min=0), 2).flatten(1)
    features = features @ state["layer2.1.weight"].T + state["layer2.1.bias"]
    features = normed(state, "layer2.2", features).clamp(min=0)
    torch.testing.assert_close(net(x), features @ state["head.weight"].T + state["head.bias"])


def test_pointnet_knows_no_order_and_no_repetition() -> None:
    net = PointNet(width=4).eval()
    x = torch.randn(3, 20, 3)
    logits = net(x)
    torch.testing.assert_close(net(x[:, torch.randperm(20)]), logits)
    torch.testing.assert_close(net(torch.cat([x, x[:, :5]], dim=1)), logits)


@small
def test_gradients_reach_every_parameter(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    """All but the biases before a batch norm, which takes them out again."""
    net = build()
    loss = F.cross_entropy(net(torch.randn(shape)), torch.arange(shape[0]) % 5)
    names, weights = zip(*net.named_parameters(), strict=True)
    for name, gradient in zip(names, torch.autograd.grad(loss, weights), strict=True):
        assert gradient.isfinite().all(), name
        assert gradient.any() or name.endswith("bias"), name


@small
def test_hidden_sites_are_the_children(build: Callable[[], nn.Module], shape: tuple[int, ...]) -> None:
    net = build()
    stages = [getattr(net, name) for name, _ in net.named_children() if name.startswith("layer")]
    assert next(reversed(dict(net.named_children()))) == "head"
    hidden = mm.HiddenMix(net, {stage: mm.MixUp() for stage in stages})
    logits, mix = hidden(torch.randn(shape))
    assert logits.shape == (shape[0], 5)
    mix.loss(logits, torch.arange(shape[0]) % 5).backward()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PointNet(width=0), "width=0 must be a whole number of at least 1"),
        (lambda: PointNet(channels=0), "channels=0 must be"),
        (lambda: PointNet(classes=0), "classes=0 must be"),
        (lambda: VoxNet(width=-1), "width=-1 must be"),
        (lambda: VoxNet(channels=0), "channels=0 must be"),
        (lambda: VoxNet(classes=0), "classes=0 must be"),
        (lambda: VoxNet(resolution=10), "resolution=10 leaves nothing after the convolutions: give 11 or more"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
