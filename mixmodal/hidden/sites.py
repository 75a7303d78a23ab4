"""Where to mix: the usual sites in common networks, for `HiddenMix`."""

from typing import TypeVar

from torch import nn

from mixmodal.hidden.arguments import takes
from mixmodal.hidden.replay import Site

__all__ = ["convolutional", "encoder", "recurrent", "resnet"]

Convolution = nn.Conv1d | nn.Conv2d | nn.Conv3d
Recurrent = nn.LSTM | nn.GRU | nn.RNN
_Any = TypeVar("_Any")


def resnet(net: nn.Module) -> list[nn.Module]:
    """The input, after the stem, and after each stage of a ResNet except the last.

    Args:
        net: a network whose stages are `layer1`, `layer2`, …: torchvision's, timm's, pre-activation and wide ResNets.

    Returns:
        The network, then its stages: the insertion points k = 0, 1, … of the PatchUp paper, with k = 0 the input.

    Raises:
        ValueError: it has no such stages.

    >>> net = nn.Module()
    >>> net.stem, net.layer1, net.layer2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3), nn.Conv2d(8, 8, 3)
    >>> resnet(net) == [net, net.layer1, net.layer2]
    True
    """
    stages = [module for name, module in net.named_children() if name.startswith("layer") and name[5:].isdigit()]
    return _found(net, [net, *stages] if stages else [], "children named layer1, layer2, …")


def convolutional(net: nn.Module) -> list[nn.Module]:
    """The input, and before each convolution except the first, of a plain 1-, 2- or 3-dimensional network.

    Args:
        net: a network whose convolutions are defined in the order in which they are called.

    Raises:
        ValueError: it has no convolution.

    >>> net = nn.Sequential(nn.Conv1d(4, 8, 3), nn.ReLU(), nn.Conv1d(8, 8, 3))
    >>> convolutional(net) == [net, net[2]]
    True
    """
    convolutions = [module for module in net.modules() if isinstance(module, Convolution)]
    return _found(net, [net, *convolutions[1:]] if convolutions else [], "convolutions")


def recurrent(net: nn.Module) -> list[Site]:
    """The outputs of recurrent layers, (B, T, D): mix them with `axes="b * d"`.

    Args:
        net: a network with LSTM, GRU or RNN layers that are `batch_first` and take padded tensors, not packed ones.

    Raises:
        ValueError: it has none, or one is not `batch_first`.

    >>> net = nn.Sequential(nn.LSTM(4, 8, batch_first=True, bidirectional=True))
    >>> recurrent(net) == [(net[0], "output")]
    True
    """
    layers = [module for module in net.modules() if isinstance(module, Recurrent)]
    if not all(layer.batch_first for layer in layers):
        raise ValueError(f"a recurrent layer of {type(net).__name__} is not batch_first: its first axis is time, not b")
    return _found(net, [(layer, "output") for layer in layers], "recurrent layers")


def encoder(net: nn.Module) -> list[Site]:
    """Before each layer of a Hugging Face encoder: hidden states (B, T, D), to mix with `axes="b * d"`.

    Give `HiddenMix` the name of the mask of real tokens, `valid="attention_mask"`, so that it follows the mix.

    Args:
        net: a network with a list of layers that take `hidden_states`. The first list whose layers also take an
            `attention_mask` is used, as those of a transformer do and those of a convolutional front end do not; if
            there is none, the first list.

    Raises:
        ValueError: it has none; or layers are skipped at random in training, so that a site may not be reached.

    >>> class Layer(nn.Module):
    ...     def forward(self, hidden_states, attention_mask=None): return hidden_states
    >>> len(encoder(nn.Sequential(nn.ModuleList([Layer(), Layer()]))))
    2
    """
    owners = {child: owner for owner in net.modules() for child in owner.children()}
    lists = [module for module in net.modules() if isinstance(module, nn.ModuleList) and len(module)]
    lists = [each for each in lists if all(takes(layer, "hidden_states") for layer in each)]
    attending = [each for each in lists if all(takes(layer, "attention_mask") for layer in each)]
    layers = next(iter(attending or lists), nn.ModuleList())
    owner = owners.get(layers)
    skipped = getattr(owner, "layerdrop", getattr(getattr(owner, "config", None), "layerdrop", 0))
    if skipped:
        raise ValueError(
            f"{type(owner).__name__} skips layers at random in training, layerdrop={skipped}, and a layer that is "
            f"drawn must be called: build or load the model with layerdrop=0 or, if it has that, encoder_layerdrop=0"
        )
    return _found(net, [(layer, "hidden_states") for layer in layers], "list of layers that take hidden_states")


def _found(net: nn.Module, sites: list[_Any], what: str) -> list[_Any]:
    if not sites:
        raise ValueError(f"{type(net).__name__} has no {what}; name its modules yourself, as in {{net: mixer}}")
    return sites
