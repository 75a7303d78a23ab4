"""The residual networks against their published parameter counts and hand-written blocks."""

import math
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import mixmodal as mm
from recipes.models.arguments import Variant
from recipes.models.images.preact_resnet import Block as PreActBlock
from recipes.models.images.preact_resnet import Bottleneck, PreActResNet, preact_resnet
from recipes.models.images.wide_resnet import Block as WideBlock
from recipes.models.images.wide_resnet import WideResNet

SMALL: list[tuple[str, Callable[[], nn.Module]]] = [
    ("preact-fmix", lambda: preact_resnet(18, width=4, variant="fmix")),
    ("preact-patchup", lambda: preact_resnet(18, width=4, variant="patchup")),
    ("preact-bottleneck", lambda: PreActResNet((2, 1, 1, 1), width=4, variant="patchup", bottleneck=True)),
    ("wide-fmix", lambda: WideResNet(depth=16, widen=1, variant="fmix")),
    ("wide-patchup", lambda: WideResNet(depth=16, widen=1, variant="patchup")),
]
small = pytest.mark.parametrize("build", [build for _, build in SMALL], ids=[name for name, _ in SMALL])
Net = TypeVar("Net", bound=nn.Module)
variants = pytest.mark.parametrize("variant", ["fmix", "patchup"])


OTHER: Any = "textbook"


def parameters(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(
    ("depth", "channels", "classes", "variant", "expected"),
    [
        (18, 3, 10, "fmix", 11_171_274),
        (18, 3, 100, "fmix", 11_217_444),
        (18, 3, 200, "fmix", 11_268_744),
        (18, 1, 10, "fmix", 11_170_122),
        (18, 1, 12, "fmix", 11_171_148),
        (18, 3, 10, "patchup", 11_171_146),
        (18, 3, 100, "patchup", 11_217_316),
        (18, 3, 200, "patchup", 11_268_616),
        (34, 3, 10, "patchup", 21_279_306),
        (34, 3, 100, "patchup", 21_325_476),
        (34, 3, 200, "patchup", 21_376_776),
    ],
)
def test_preact_parameter_counts_are_the_papers(
    depth: int, channels: int, classes: int, variant: Variant, expected: int
) -> None:
    with torch.device("meta"):
        assert parameters(preact_resnet(depth, channels=channels, classes=classes, variant=variant)) == expected


def bottleneck_parameters(blocks: tuple[int, ...], channels: int, classes: int, width: int) -> int:
    """The weights of convolutions and batch norms, counted layer by layer; a batch norm of n channels has 2n."""
    total, inputs = 9 * channels * width, width
    for stage, count in enumerate(blocks):
        inside = width * 2**stage
        outputs = 4 * inside
        for _ in range(count):
            norms = 2 * inputs + 2 * inside + 2 * inside
            convolutions = inputs * inside + 9 * inside * inside + inside * outputs
            projection = inputs * outputs if inputs != outputs else 0
            total += norms + convolutions + projection
            inputs = outputs
    return total + (inputs + 1) * classes


@pytest.mark.parametrize(("depth", "blocks"), [(101, (3, 4, 23, 3)), (152, (3, 8, 36, 3))])
@pytest.mark.parametrize(("channels", "classes", "width"), [(3, 200, 64), (3, 10, 64), (1, 7, 16)])
def test_bottleneck_parameter_counts(
    depth: int, blocks: tuple[int, ...], channels: int, classes: int, width: int
) -> None:
    with torch.device("meta"):
        net = preact_resnet(depth, channels=channels, classes=classes, width=width, variant="patchup")
    assert parameters(net) == bottleneck_parameters(blocks, channels, classes, width)


@pytest.mark.parametrize("depth", [101, 152])
def test_bottleneck_convolutions_are_torchvisions(depth: int) -> None:
    """Its post-activation networks have the same convolutions but for the stem, of 7x7 in place of 3x3 weights."""
    torchvision = pytest.importorskip("torchvision.models")
    with torch.device("meta"):
        nets = preact_resnet(depth, variant="patchup"), getattr(torchvision, f"resnet{depth}")()
    ours, theirs = (sorted(m.weight.numel() for m in net.modules() if isinstance(m, nn.Conv2d)) for net in nets)
    ours.remove(9 * 3 * 64)
    theirs.remove(49 * 3 * 64)
    assert ours == theirs


@pytest.mark.parametrize(
    ("classes", "variant", "expected"),
    [
        (10, "fmix", 36_479_194),
        (100, "fmix", 36_536_884),
        (10, "patchup", 36_489_290),
        (100, "patchup", 36_546_980),
        (200, "patchup", 36_611_080),
    ],
)
def test_wide_parameter_counts_are_the_papers(classes: int, variant: Variant, expected: int) -> None:
    with torch.device("meta"):
        assert parameters(WideResNet(classes=classes, variant=variant)) == expected


@variants
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_preact_stages_have_the_right_shapes(variant: Variant, stem_stride: int) -> None:
    net = preact_resnet(18, channels=2, classes=7, width=4, stem_stride=stem_stride, variant=variant)
    shapes = shapes_of(net, torch.zeros(3, 2, 32, 48), ["stem", "layer1", "layer2", "layer3", "layer4"])
    h, w = 32 // stem_stride, 48 // stem_stride
    assert shapes == [(3, 4, h, w), (3, 4, h, w)] + [(3, 4 * k, h // k, w // k) for k in (2, 4, 8)] + [(3, 7)]


@pytest.mark.parametrize("stem_stride", [1, 2])
def test_bottleneck_stages_have_the_right_shapes(stem_stride: int) -> None:
    net = preact_resnet(101, channels=2, classes=7, width=2, stem_stride=stem_stride, variant="patchup")
    shapes = shapes_of(net, torch.zeros(3, 2, 32, 48), ["stem", "layer1", "layer2", "layer3", "layer4"])
    h, w = 32 // stem_stride, 48 // stem_stride
    assert shapes == [(3, 2, h, w), (3, 8, h, w)] + [(3, 8 * k, h // k, w // k) for k in (2, 4, 8)] + [(3, 7)]


@variants
@pytest.mark.parametrize("stem_stride", [1, 2])
def test_wide_stages_have_the_right_shapes(variant: Variant, stem_stride: int) -> None:
    net = WideResNet(depth=10, widen=2, channels=2, classes=7, stem_stride=stem_stride, variant=variant)
    shapes = shapes_of(net, torch.zeros(3, 2, 32, 24), ["stem", "layer1", "layer2", "layer3"])
    h, w = 32 // stem_stride, 24 // stem_stride
    assert shapes == [(3, 16, h, w), (3, 32, h, w), (3, 64, h // 2, w // 2), (3, 128, h // 4, w // 4), (3, 7)]


@small
def test_odd_sizes_and_a_single_pixel_pass(build: Callable[[], nn.Module]) -> None:
    net = build().eval()
    for size in [(7, 7), (28, 28), (1, 1), (9, 16)]:
        assert net(torch.randn(2, 3, *size)).shape == (2, 10)


def shapes_of(net: nn.Module, x: Tensor, names: list[str]) -> list[tuple[int, ...]]:
    seen: list[tuple[int, ...]] = []
    for name in names:
        net.get_submodule(name).register_forward_hook(lambda _module, _inputs, out: seen.append(tuple(out.shape)))
    logits = net(x)
    return [*seen, tuple(logits.shape)]


def scrambled(module: Net) -> Net:
    """Give the batch norms statistics and weights of their own, so that no step of a block is close to the identity."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            statistics = dict(norm.named_buffers())
            nn.init.normal_(statistics["running_mean"], std=0.3)
            nn.init.uniform_(statistics["running_var"], 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)
            nn.init.normal_(norm.bias, std=0.3)
    return module.double().eval()


def activated(state: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    keys = ("running_mean", "running_var", "weight", "bias")
    mean, var, weight, bias = (state[f"{name}.{key}"].view(1, -1, 1, 1) for key in keys)
    return ((x - mean) / (var + 1e-5).sqrt() * weight + bias).clamp(min=0)


@variants
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 4, 2), (4, 8, 2)])
def test_preact_block_by_hand(variant: Variant, inputs: int, outputs: int, stride: int) -> None:
    block = scrambled(PreActBlock(inputs, outputs, stride=stride, raw_identity=variant == "patchup"))
    state = block.state_dict()
    x = torch.randn(3, inputs, 8, 6, dtype=torch.float64)
    o = activated(state, "bn1", x)
    residual = F.conv2d(o, state["conv1.weight"], stride=stride, padding=1)
    residual = F.conv2d(activated(state, "bn2", residual), state["conv2.weight"], padding=1)
    if inputs == outputs and stride == 1:
        shortcut = {"fmix": o, "patchup": x}[variant]
    else:
        shortcut = F.conv2d(o, state["projection.weight"], stride=stride)
    torch.testing.assert_close(block(x), residual + shortcut)


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 8, 1), (2, 8, 1), (8, 8, 2), (8, 16, 2)])
def test_bottleneck_by_hand(inputs: int, outputs: int, stride: int) -> None:
    block = scrambled(Bottleneck(inputs, outputs, stride=stride))
    state = block.state_dict()
    x = torch.randn(3, inputs, 8, 6, dtype=torch.float64)
    o = activated(state, "bn1", x)
    residual = F.conv2d(o, state["conv1.weight"])
    assert residual.shape == (3, outputs // 4, 8, 6)
    residual = F.conv2d(activated(state, "bn2", residual), state["conv2.weight"], stride=stride, padding=1)
    residual = F.conv2d(activated(state, "bn3", residual), state["conv3.weight"])
    same = inputs == outputs and stride == 1
    shortcut = x if same else F.conv2d(o, state["projection.weight"], stride=stride)
    torch.testing.assert_close(block(x), residual + shortcut)


@variants
@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(4, 4, 1), (4, 6, 1), (4, 8, 2)])
def test_wide_block_by_hand(variant: Variant, inputs: int, outputs: int, stride: int) -> None:
    block = scrambled(WideBlock(inputs, outputs, stride=stride, variant=variant))
    state = block.state_dict()
    x = torch.randn(3, inputs, 8, 6, dtype=torch.float64)
    o = activated(state, "bn1", x)
    first, second = {"fmix": (stride, 1), "patchup": (1, stride)}[variant]
    biases = [state[f"{name}.bias"] if variant == "patchup" else None for name in ("conv1", "conv2")]
    residual = F.conv2d(o, state["conv1.weight"], biases[0], stride=first, padding=1)
    residual = F.conv2d(activated(state, "bn2", residual), state["conv2.weight"], biases[1], stride=second, padding=1)
    if inputs == outputs:
        shortcut = x
    elif variant == "fmix":
        shortcut = F.conv2d(o, state["projection.weight"], stride=stride)
    else:
        shortcut = F.conv2d(x, state["projection.weight"], state["projection.bias"], stride=stride)
    torch.testing.assert_close(block(x), residual + shortcut)


@variants
def test_preact_stem_and_head_by_hand(variant: Variant) -> None:
    net = scrambled(PreActResNet((1, 1, 1, 1), width=4, variant=variant))
    state = net.state_dict()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    stem = F.conv2d(x, state["stem.0.weight"], padding=1)
    stem = activated(state, "stem.1", stem) if variant == "fmix" else stem
    features = stem
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        features = stage(features)
    assert features.min() < 0, "a last ReLU would hide nothing here"
    expected = features.flatten(2).sum(-1) / 4 @ state["head.weight"].T + state["head.bias"]
    torch.testing.assert_close(net(x), expected)


@variants
def test_wide_stem_and_head_by_hand(variant: Variant) -> None:
    net = scrambled(WideResNet(depth=10, widen=1, variant=variant))
    state = net.state_dict()
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    features = F.conv2d(x, state["stem.weight"], state["stem.bias"] if variant == "patchup" else None, padding=1)
    for stage in (net.layer1, net.layer2, net.layer3):
        features = stage(features)
    pooled = activated(state, "bn", features).flatten(2).sum(-1) / 16
    torch.testing.assert_close(net(x), pooled @ state["head.weight"].T + state["head.bias"])


@pytest.mark.parametrize(
    ("depth", "kind", "blocks"),
    [
        (18, PreActBlock, (2, 2, 2, 2)),
        (34, PreActBlock, (3, 4, 6, 3)),
        (101, Bottleneck, (3, 4, 23, 3)),
        (152, Bottleneck, (3, 8, 36, 3)),
    ],
)
def test_preact_depth_chooses_the_blocks(depth: int, kind: type[nn.Module], blocks: tuple[int, ...]) -> None:
    net = preact_resnet(depth, width=1, variant="patchup")
    stages = (net.layer1, net.layer2, net.layer3, net.layer4)
    assert tuple(len(stage) for stage in stages) == blocks
    assert all(type(block) is kind for stage in stages for block in stage)
    assert [name for name, _ in net.named_children()] == ["stem", "layer1", "layer2", "layer3", "layer4", "head"]


def test_wide_final_norm_momentum_is_the_papers() -> None:
    expected: list[tuple[Variant, list[float]]] = [("fmix", [0.1] * 7), ("patchup", [0.1] * 6 + [0.9])]
    for variant, momenta in expected:
        modules = WideResNet(depth=10, widen=1, variant=variant).modules()
        assert [m.momentum for m in modules if isinstance(m, nn.BatchNorm2d)] == momenta


def test_wide_fmix_initialisation() -> None:
    """15 convolutions of n = 432 to 36,864 weights: each deviation is within 5 standard errors, 5 s / sqrt(2n)."""
    net = WideResNet(depth=16, widen=1, variant="fmix")
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) == 15
    for conv in convs:
        std = math.sqrt(2 / (conv.kernel_size[0] ** 2 * conv.out_channels))
        assert conv.weight.std().item() == pytest.approx(std, abs=5 * std / math.sqrt(2 * conv.weight.numel()))
    assert not net.head.bias.any()
    assert WideResNet(depth=16, widen=1, variant="patchup").head.bias.any()


@small
def test_gradients_reach_every_parameter(build: Callable[[], nn.Module]) -> None:
    """All but the biases of ``conv1``, which the batch norm that follows takes out again."""
    net = build()
    loss = F.cross_entropy(net(torch.randn(8, 3, 16, 16)), torch.arange(8))
    names, parameters = zip(*net.named_parameters(), strict=True)
    for name, gradient in zip(names, torch.autograd.grad(loss, parameters), strict=True):
        assert gradient.isfinite().all(), name
        assert gradient.any() or name.endswith("conv1.bias"), name


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: preact_resnet(50), "depth=50 is not available: choose 18, 34, 101, 152"),
        (lambda: preact_resnet(101), "variant='fmix' has no network of bottlenecks: choose variant='patchup'"),
        (lambda: preact_resnet(152, variant=OTHER), "variant='textbook' is unknown"),
        (lambda: PreActResNet((2, 2, 2)), r"blocks=\(2, 2, 2\) must be four numbers"),
        (lambda: PreActResNet((2, 2, 0, 2)), r"blocks=\(2, 2, 0, 2\) must be four numbers"),
        (lambda: preact_resnet(18, width=0), "width=0 must be a whole number of at least 1"),
        (lambda: preact_resnet(18, classes=-1), "classes=-1 must be"),
        (lambda: preact_resnet(18, variant=OTHER), "variant='textbook' is unknown: choose 'fmix' or 'patchup'"),
        (lambda: WideResNet(depth=27), r"depth=27 must be 6n \+ 4"),
        (lambda: WideResNet(depth=4), r"depth=4 must be 6n \+ 4"),
        (lambda: WideResNet(widen=0), "widen=0 must be"),
        (lambda: WideResNet(variant=OTHER), "variant='textbook' is unknown"),
    ],
)
def test_wrong_arguments_are_named(build: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("net", [preact_resnet(18, width=4), WideResNet(depth=10, widen=1)], ids=["preact", "wide"])
def test_the_networks_have_the_papers_insertion_points(net: nn.Module) -> None:
    stages = [net.get_submodule(f"layer{k}") for k in (1, 2, 3)]
    assert mm.sites.resnet(net)[:4] == [net, *stages]
    with mm.presets.patchup(net, block_size=3) as hidden:
        logits, mix = hidden(torch.randn(4, 3, 16, 16))
    assert list(hidden.at) == [net, *stages[:2]]
    mix.loss(logits, torch.tensor([0, 1, 2, 3])).backward()
