"""PyramidNet, and the networks of timm and torchvision: published parameter counts, sites, and what they refuse."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recipes.models.images import libraries
from recipes.models.images.pyramidnet import Bottleneck, PyramidNet, ShakeDrop


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_the_pyramidnets_parameter_count_is_the_papers() -> None:
    with torch.device("meta"):
        net = PyramidNet()
    assert parameters(net) == 26_210_842
    assert [len(stage) for stage in (net.layer1, net.layer2, net.layer3)] == [30, 30, 30]


def test_densenets_parameter_count_is_the_papers() -> None:
    pytest.importorskip("timm")
    with torch.device("meta"):
        assert parameters(libraries.densenet(190)) == 25_624_430


@pytest.mark.parametrize(
    ("model", "channels", "classes", "expected"),
    [
        ("seresnext50", 1, 168, 25_848_856),
        ("seresnext50", 1, 11, 25_848_856 - 157 * 2049),  # the other two graphemes' networks: 2048 weights and a bias
        ("seresnext50", 1, 7, 25_848_856 - 161 * 2049),
        ("resnet50", 3, 1000, 25_557_032),  # as torchvision documents them
        ("resnet101", 3, 1000, 44_549_160),
        ("resnet50", 1, 10, 25_557_032 - 2 * 64 * 49 - 990 * 2049),
    ],
)
def test_library_parameter_counts(model: str, channels: int, classes: int, expected: int) -> None:
    name = libraries.PUBLISHED[model]
    pytest.importorskip(name.partition(":")[0])
    with torch.device("meta"):
        assert parameters(libraries.from_library(name, channels=channels, classes=classes)) == expected


def test_pyramid_stages_have_the_right_shapes() -> None:
    """Alpha 50 of 6 blocks adds 8 1/3 channels in each; 4 times as many come out."""
    net = PyramidNet(depth=20, channels=2, classes=7, width=4).eval()
    seen: list[tuple[int, ...]] = []
    for stage in (net.stem, net.layer1, net.layer2, net.layer3):
        stage.register_forward_hook(lambda _m, _i, out: seen.append(tuple(out.shape)))
    assert net(torch.zeros(3, 2, 32, 20)).shape == (3, 7)
    inside = [round(4 + 50 * k / 6) for k in (2, 4, 6)]
    assert seen == [(3, 4, 32, 20), (3, 4 * inside[0], 32, 20), (3, 4 * inside[1], 16, 10), (3, 4 * inside[2], 8, 5)]
    assert net.eval()(torch.zeros(1, 2, 7, 9)).shape == (1, 7)


def test_pyramid_drop_probabilities_rise_to_a_half() -> None:
    shaken = [m.drop_prob for m in PyramidNet(depth=29, width=4).modules() if isinstance(m, ShakeDrop)]
    assert shaken == pytest.approx([0.5 * k / 9 for k in range(1, 10)])


def test_pyramid_initialisation() -> None:
    """Deviations within 5 standard errors, s / sqrt(2n), of n weights."""
    net = PyramidNet(depth=11, width=16)
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d)):
        std = math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels))
        assert conv.weight.std().item() == pytest.approx(std, abs=5 * std / math.sqrt(2 * conv.weight.numel()))
    assert not net.head.bias.any()


def normed(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{key}"].view(1, -1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / (var + 1e-5).sqrt() * weight + bias


@pytest.mark.parametrize("stride", [1, 2])
def test_pyramid_block_by_hand(stride: int) -> None:
    block = Bottleneck(6, 3, stride=stride, drop_prob=0.25).double().eval()
    for norm in (block.bn1, block.bn2, block.bn3, block.bn4):
        for tensor, low in ((norm.running_mean, -1), (norm.running_var, 0.5), (norm.weight, 0.5), (norm.bias, -1)):
            assert tensor is not None
            nn.init.uniform_(tensor, low, 1.5)
    state, x = block.state_dict(), torch.randn(2, 6, 8, 4, dtype=torch.float64)
    inner = F.conv2d(normed(x, state, "bn1"), state["conv1.weight"])
    inner = F.conv2d(normed(inner, state, "bn2").clamp(min=0), state["conv2.weight"], stride=stride, padding=1)
    inner = normed(F.conv2d(normed(inner, state, "bn3").clamp(min=0), state["conv3.weight"]), state, "bn4")
    expected = 0.75 * inner
    mean = x.unflatten(2, (-1, stride)).unflatten(4, (-1, stride)).mean((3, 5))
    expected[:, :6] += mean
    torch.testing.assert_close(block(x), expected)


def shaken(prob: float, n: int, draws: int) -> tuple[Tensor, Tensor]:
    """Factors of ones and of their gradients, (draws, n) each."""
    shake, forward, backward = ShakeDrop(prob).train(), [], []
    for _ in range(draws):
        x = torch.ones(n, 1, 1, 1, requires_grad=True)
        out = shake(x)
        forward.append(out.detach().flatten())
        backward.append(torch.autograd.grad(out.sum(), x)[0].flatten())
    return torch.stack(forward), torch.stack(backward)


def test_shakedrop_keeps_a_batch_or_shakes_each_of_its_samples() -> None:
    """400 batches at 0.3: the share that is kept is within 4.5 standard errors, sqrt(0.21 / 400) each."""
    torch.manual_seed(0)
    forward, backward = shaken(0.3, 8, 400)
    kept = (forward == 1).all(1)
    assert torch.equal(kept, (backward == 1).all(1))
    assert abs(kept.float().mean() - 0.7) < 4.5 * math.sqrt(0.21 / 400)
    assert (forward[~kept] != 1).all()
    assert (forward[~kept].diff(dim=1) != 0).all()


def test_shakedrops_factors_are_uniform_and_independent() -> None:
    """16,000 of each: means, squares and the product within 4.5 standard errors."""
    torch.manual_seed(0)
    forward, backward = (each.flatten() for each in shaken(1.0, 16, 1000))
    assert forward.min() >= -1
    assert forward.max() <= 1
    assert backward.min() >= 0
    assert backward.max() <= 1
    for values, expected in (
        (forward, 0.0),
        (forward.square(), 1 / 3),
        (backward, 1 / 2),
        (backward.square(), 1 / 3),
        (forward * (backward - 0.5), 0.0),
    ):
        assert abs(values.mean() - expected) < 4.5 * values.std() / math.sqrt(len(values))


def test_shakedrop_in_evaluation_is_its_expectation() -> None:
    """E = (1 - p) + p E[U(-1, 1)]; 2,000 batches of one sample, within 4.5 standard errors."""
    torch.manual_seed(0)
    forward, _ = shaken(0.4, 1, 2000)
    (evaluated,) = ShakeDrop(0.4).eval()(torch.ones(1, 1, 1, 1)).flatten()
    assert evaluated.item() == pytest.approx(0.6)
    assert abs(forward.mean() - evaluated) < 4.5 * forward.std() / math.sqrt(2000)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_shakedrop_keeps_the_dtype_and_copies(dtype: torch.dtype) -> None:
    x = torch.ones(2, 1, 1, 1, dtype=dtype)
    for shake in (ShakeDrop(0.5), copy.deepcopy(ShakeDrop(0.5)), pickle.loads(pickle.dumps(ShakeDrop(0.5)))):
        assert shake(x).dtype == dtype
    assert torch.equal(x, torch.ones_like(x))


def test_densenet_has_a_plain_stem() -> None:
    """A convolution of 3x3 without batch norm and pooling, so that the first block sees all pixels."""
    pytest.importorskip("timm")
    net = libraries.densenet(10, channels=2, classes=7, width=8)
    seen: dict[str, tuple[int, ...]] = {}
    for name in ("denseblock1", "denseblock2", "denseblock3"):
        net.get_submodule(f"features.{name}").register_forward_pre_hook(
            lambda _m, args, name=name: seen.update({name: tuple(args[0].shape)})
        )
    x = torch.randn(3, 2, 32, 20)
    assert net(x).shape == (3, 7)
    assert seen == {"denseblock1": (3, 8, 32, 20), "denseblock2": (3, 6, 16, 10), "denseblock3": (3, 5, 8, 5)}
    stem = net.get_submodule("features.conv0")
    assert torch.equal(stem(x), F.conv2d(x, stem.get_parameter("weight"), padding=1))
    for conv in (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.weight.numel() > 300):
        std = math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels))
        assert conv.weight.std().item() == pytest.approx(std, abs=5 * std / math.sqrt(2 * conv.weight.numel()))


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("torchvision:resnet18", ("input", "layer1", "layer2")),
        ("torchvision:densenet121", ("input", "features.denseblock1", "features.denseblock2")),
        ("timm:seresnext50_32x4d", ("input", "layer1", "layer2")),
        ("timm:convnext_atto", ("input", "stages.0", "stages.1")),
        ("timm:regnety_002", ()),
        ("torchvision:vgg11", ()),
    ],
)
def test_stages_are_found_by_name(model: str, expected: tuple[str, ...]) -> None:
    pytest.importorskip(model.partition(":")[0])
    with torch.device("meta"):
        assert libraries.stages(libraries.from_library(model)) == expected


def test_stages_within_stages_are_none() -> None:
    net = nn.Module()
    net.layer1, net.layer2 = nn.Module(), nn.Identity()
    net.layer1.layer1 = nn.Identity()
    assert libraries.stages(net) == ("input", "layer1", "layer2")


@pytest.mark.parametrize("model", ["torchvision:resnet18", "torchvision:shufflenet_v2_x0_5", "timm:resnet10t"])
def test_networks_take_other_channels_and_classes(model: str) -> None:
    pytest.importorskip(model.partition(":")[0])
    net = libraries.from_library(model, channels=2, classes=7)
    assert net.eval()(torch.zeros(2, 2, 32, 32)).shape == (2, 7)


class Odd(nn.Module):
    """Channels last, tokens that are dropped at random, and an unused module."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.last, self.unused = nn.Identity(), nn.Identity(), nn.Identity()
        self.tokens = nn.Dropout()
        self.head, self.norm = nn.Linear(3, 5), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.last(self.maps(self.norm(x)).permute(0, 2, 3, 1))
        logits: Tensor = self.head(self.tokens(x.flatten(1, 2)).mean(1))
        return logits


def test_checking_a_network_leaves_it_and_the_randomness_as_they_are() -> None:
    net, state = Odd(), torch.get_rng_state()
    before = copy.deepcopy(net.state_dict())
    libraries.check(net, "odd", (3, 8, 8), 5, ["input", "maps"])
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert not any(module._forward_pre_hooks for module in net.modules())


@pytest.mark.parametrize(
    ("site", "shape", "classes", "message"),
    [
        (
            "last",
            (3, 8, 8),
            5,
            r"sites: 'last' gets a tensor of shape \(2, 8, 8, 3\), which is not a map \(B, C, H, W\)",
        ),
        ("tokens", (3, 8, 8), 5, r"sites: 'tokens' gets a tensor of shape \(2, 64, 3\), which is not a map"),
        ("unused", (3, 8, 8), 5, "sites: 'unused' gets no input"),
        ("maps", (2, 8, 8), 5, r"model='odd' cannot take images of shape \(2, 8, 8\)"),
        ("maps", (3, 8, 8), 6, r"model='odd' makes \(2, 5\) of 2 images, not logits \(2, 6\)"),
    ],
)
def test_what_a_network_cannot_do_is_told(site: str, shape: tuple[int, ...], classes: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        libraries.check(Odd(), "odd", shape, classes, [site])


WRONG: list[tuple[Any, str]] = [
    (lambda: ShakeDrop(1.5), r"drop_prob=1.5 must be in \[0, 1\]"),
    (lambda: PyramidNet(depth=270), r"depth=270 must be 9n \+ 2"),
    (lambda: PyramidNet(width=0), "width=0 must be"),
    (lambda: libraries.densenet(100 + 1), r"depth=101 must be 6n \+ 4"),
    (lambda: libraries.densenet(10, width=7), "width=7 must be even"),
    (lambda: libraries.from_library("keras:vgg"), "model='keras:vgg' names no library"),
    (lambda: libraries.from_library("torchvision:resnet500"), "unknown to torchvision: did you mean resnet50"),
]


@pytest.mark.parametrize(("build", "message"), WRONG)
def test_wrong_arguments_are_named(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_an_unknown_network_of_timm_is_named() -> None:
    pytest.importorskip("timm")
    with pytest.raises(ValueError, match="model='timm:resnet5000' is unknown to timm: did you mean resnet50"):
        libraries.from_library("timm:resnet5000")
