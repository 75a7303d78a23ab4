"""Networks of timm and torchvision: those of the papers, and any other by name.

Source: Huang et al. 2017, "Densely Connected Convolutional Networks"; He et al. 2016, "Deep Residual Learning"; Hu et
al. 2018, "Squeeze-and-Excitation Networks"; Harris et al. 2020 (FMix) for the networks of its experiments.
"""

import copy
import difflib
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mixmodal.hidden.arguments import first_tensor
from recipes.models.arguments import check_positive
from recipes.models.images.wide_resnet import init_fmix

PUBLISHED = {
    "seresnext50": "timm:seresnext50_32x4d",
    "resnet50": "torchvision:resnet50",
    "resnet101": "torchvision:resnet101",
}
"""Networks of the papers that a library provides unchanged."""
STAGES = re.compile(r"(.+\.)?(layer|denseblock|stages\.)[0-9]+")
"""Names of stages, in the order of the network."""


def densenet(depth: int = 190, *, channels: int = 3, classes: int = 10, width: int = 80) -> nn.Module:
    """Make timm's DenseNet-BC for small images: three dense blocks, and a single 3x3 convolution as the stem.

    Args:
        depth: number of layers, 6n + 4 for n bottlenecks in each block.
        channels: number of input channels.
        classes: number of outputs.
        width: channels of the stem, twice the growth rate.

    Raises:
        ValueError: ``depth`` is not 6n + 4, ``width`` is odd, or a size is below 1.
        ImportError: timm is missing.

    >>> densenet(10, channels=1, classes=5, width=8)(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 5])
    """
    if depth < 10 or (depth - 4) % 6:
        raise ValueError(f"depth={depth} must be 6n + 4 with n of at least 1: 10, 16, ..., 100, 190")
    check_positive(channels=channels, classes=classes, width=width)
    if width % 2:
        raise ValueError(f"width={width} must be even, twice the growth rate")
    _timm()
    from timm.models.densenet import DenseNet

    blocks = ((depth - 4) // 6,) * 3
    net: nn.Module = DenseNet(growth_rate=width // 2, block_config=blocks, in_chans=channels, num_classes=classes)
    stem: Any = net.features
    stem.conv0 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    del stem.norm0, stem.pool0
    head: Any = net.classifier
    init_fmix(net, head)
    return net


def from_library(model: str, *, channels: int = 3, classes: int = 10) -> nn.Module:
    """Make a network of a library, with random weights.

    Args:
        model: ``"timm:NAME"`` or ``"torchvision:NAME"``.
        channels: number of input channels.
        classes: number of outputs.

    Raises:
        ValueError: there is no such library or network, or it cannot be made for these channels and classes.
        ImportError: the library is missing.

    >>> from_library("torchvision:resnet18", channels=1, classes=5).fc.out_features
    5
    """
    library, _, name = model.partition(":")
    if library not in LIBRARIES:
        raise ValueError(f"model={model!r} names no library: choose timm:NAME or torchvision:NAME")
    return LIBRARIES[library](name, channels, classes)


def hub_state(model: str, channels: int) -> Mapping[str, Tensor]:
    """Fetch the weights that a library publishes for a network, by their names.

    Args:
        model: ``"timm:NAME"``, where NAME may select the weights by a tag, or ``"torchvision:NAME"``; or a name in
            ``PUBLISHED``.
        channels: number of input channels, to which timm adapts the first convolution.

    Raises:
        ValueError: the network is not from a library, or the library has no weights for it.
        ConnectionError: they cannot be fetched.
        ImportError: the library is missing.
    """
    library, _, name = PUBLISHED.get(model, model).partition(":")
    if library not in WEIGHTS:
        raise ValueError(f"pretrained='hub' is for timm:NAME and torchvision:NAME, not for {model}: give a file")
    try:
        with torch.random.fork_rng(devices=[]):
            return WEIGHTS[library](name, channels)
    except (RuntimeError, AttributeError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"pretrained='hub': {library} has no weights for {name} ({said}): give a file") from error
    except OSError as error:
        raise ConnectionError(
            f"the weights of {model} cannot be fetched ({type(error).__name__}): check the network, or give a file "
            f"with --pretrained"
        ) from error


def stages(net: nn.Module) -> tuple[str, ...]:
    """Names of the sites of a network with stages: the input, after the stem, and after the first stage.

    Args:
        net: a network with modules named ``layer1``, ``denseblock1`` or ``stages.0`` and on, at any depth.

    Returns:
        ``"input"`` and the first two stages, before which a method mixes; empty unless there are two.

    >>> stages(from_library("torchvision:resnet18"))
    ('input', 'layer1', 'layer2')
    """
    found = [name for name, _ in net.named_modules() if STAGES.fullmatch(name)]
    found = [name for name in found if name.rpartition(".")[0] == found[0].rpartition(".")[0]]
    return ("input", *found[:2]) if len(found) > 1 else ()


def narrowest(net: nn.Module) -> int:
    """Fewest channels of the strided 1x1 convolutions of a network, for ``channels_last``; 8 if it has none."""
    convolutions = [
        m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (1, 1) and max(m.stride) > 1
    ]
    return min((min(m.in_channels, m.out_channels) for m in convolutions), default=8)


def check(net: nn.Module, model: str, shape: Sequence[int], classes: int, sites: Sequence[str] = ()) -> None:
    """Try a copy of a network on two black images, in training mode.

    Args:
        net: the network, which is not changed.
        model: its name in errors.
        shape: (C, H, W) of an image.
        classes: number of its outputs.
        sites: names of modules before which a method mixes, "input" for the network itself.

    Raises:
        ValueError: it does not make logits of such images, or its input at a site is not a map of their proportions.
    """
    seen: dict[str, tuple[int, ...]] = {}
    trial = copy.deepcopy(net).train()
    for name in sites:
        module = trial.get_submodule("" if name == "input" else name)
        module.register_forward_pre_hook(functools.partial(_note, seen, name), with_kwargs=True)
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = trial(torch.zeros(2, *shape))
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise ValueError(f"model={model!r} cannot take images of shape {tuple(shape)}: {said}") from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        made = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise ValueError(f"model={model!r} makes {made} of 2 images, not logits (2, {classes}): choose another")
    for name in sites:
        _check_map(name, seen.get(name), shape)


def _check_map(site: str, found: tuple[int, ...] | None, image: Sequence[int]) -> None:
    """Refuse what is not a map (B, C, H, W) of an image (C, H, W)."""
    if found is None:
        raise ValueError(f"sites: {site!r} gets no input when the network is called; name another module")
    _, height, width = image
    if len(found) != 4 or abs(found[2] / height - found[3] / width) * max(height, width) > 1:
        raise ValueError(
            f"sites: {site!r} gets a tensor of shape {found}, which is not a map (B, C, H, W) of images of shape "
            f"{tuple(image)}; name another module"
        )


def _note(
    seen: dict[str, tuple[int, ...]], site: str, _: nn.Module, args: tuple[object, ...], kwargs: dict[str, object]
) -> None:
    """Record the shape of the input of a site at its first call."""
    seen.setdefault(site, tuple(first_tensor((*args, *kwargs.values()), "the site").shape))


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ImportError("this network needs the package timm: pip install 'mixmodal[recipes]'") from error
    return timm


def _from_timm(name: str, channels: int, classes: int) -> nn.Module:
    timm = _timm()
    if not timm.is_model(name):
        raise ValueError(_unknown("timm", name, timm.list_models()))
    try:
        net: nn.Module = timm.create_model(name, in_chans=channels, num_classes=classes)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"model='timm:{name}' cannot be made for {channels} channels: {error}") from error
    return net


def _from_torchvision(name: str, channels: int, classes: int) -> nn.Module:
    from torchvision import models

    names = models.list_models(module=models)
    if name not in names:
        raise ValueError(_unknown("torchvision", name, names))
    net: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    where, first = next((name, module) for name, module in net.named_modules() if isinstance(module, nn.Conv2d))
    if first.in_channels != channels:
        parent, _, child = where.rpartition(".")
        setattr(net.get_submodule(parent), child, _of_channels(first, channels))
    return net


def _of_channels(first: nn.Conv2d, channels: int) -> nn.Conv2d:
    """A convolution like another one, for another number of input channels."""
    return nn.Conv2d(
        channels,
        first.out_channels,
        first.kernel_size,  # type: ignore[arg-type]
        stride=first.stride,  # type: ignore[arg-type]
        padding=first.padding,  # type: ignore[arg-type]
        bias=first.bias is not None,
    )


def _unknown(library: str, name: str, names: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"its own list of models has all {len(names)} names"
    return f"model={f'{library}:{name}'!r} is unknown to {library}: {hint}"


def _weights_of_timm(name: str, channels: int) -> Mapping[str, Tensor]:
    net: nn.Module = _timm().create_model(name, pretrained=True, in_chans=channels)
    return net.state_dict()


def _weights_of_torchvision(name: str, _: int) -> Mapping[str, Tensor]:
    from torchvision import models

    weights: Any = models.get_model_weights(name)
    state: Mapping[str, Tensor] = weights.DEFAULT.get_state_dict(progress=False, check_hash=True)
    return state


LIBRARIES: dict[str, Callable[[str, int, int], nn.Module]] = {"timm": _from_timm, "torchvision": _from_torchvision}
WEIGHTS: dict[str, Callable[[str, int], Mapping[str, Tensor]]] = {
    "timm": _weights_of_timm,
    "torchvision": _weights_of_torchvision,
}
