"""The published methods for mixing inside networks, as a `HiddenMix` with sites and mixers already set."""

from collections.abc import Sequence

from torch import nn

from mixmodal.core.draws import Draws
from mixmodal.hidden import sites
from mixmodal.hidden.hiddenmix import HiddenMix
from mixmodal.hidden.replay import Site
from mixmodal.methods.blocks import PatchUp
from mixmodal.methods.boxes import CutMix
from mixmodal.methods.policies import OneOf
from mixmodal.methods.uniform import MixUp, NoMix

__all__ = ["feature_cutmix", "manifold_mixup", "patchup"]


def manifold_mixup(
    net: nn.Module,
    at: Sequence[Site] | None = None,
    *,
    alpha: float = 2.0,
    axes: str = "b c *",
    valid: str | None = None,
) -> HiddenMix:
    """Manifold Mixup: MixUp at one of several sites.

    Args:
        net: the network.
        at: the sites; if None, the input and after the first two stages of a ResNet.
        alpha: see `MixUp`; 2 on CIFAR and SVHN, 0.2 on Tiny-ImageNet.
        axes: axes pattern at the sites, needed if there is padding.
        valid: see `HiddenMix`.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> manifold_mixup(net, [net, net[2]]).at[net]
    MixUp(axes='b c *', per_sample=False, alpha=2.0)

    Source: Verma et al., Manifold Mixup (ICML 2019), sections 2 and 5.
    """
    chosen = [net, *sites.resnet(net)[2:4]] if at is None else at
    return HiddenMix(net, {site: MixUp(alpha=alpha, axes=axes) for site in chosen}, valid=valid)


def feature_cutmix(
    net: nn.Module,
    at: Sequence[Site] | None = None,
    *,
    alpha: float = 1.0,
    axes: str = "b c *",
    valid: str | None = None,
) -> HiddenMix:
    """Feature CutMix: CutMix at one of several sites.

    Args:
        net: the network.
        at: the sites; if None, the input, after the stem and after the first two stages of a ResNet.
        alpha: see `CutMix`.
        axes: axes pattern at the sites.
        valid: see `HiddenMix`.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> len(feature_cutmix(net, [net, net[2]]).at)
    2

    Source: Yun et al., CutMix (ICCV 2019), section 4.1 (feature-level CutMix).
    """
    chosen = sites.resnet(net)[:4] if at is None else at
    return HiddenMix(net, {site: CutMix(alpha=alpha, axes=axes) for site in chosen}, valid=valid)


def patchup(
    net: nn.Module,
    at: Sequence[Site] | None = None,
    *,
    soft: bool = True,
    prob: float | None = None,
    block_size: int = 7,
    axes: str = "b c *",
    valid: str | None = None,
) -> HiddenMix:
    """PatchUp as published: blocks of feature maps, and at the input a single box, as in CutMix.

    Args:
        net: the network, which is itself the input site.
        at: the sites; if None, the input, after the stem and after the first stage of a ResNet.
        soft: see `PatchUp`.
        prob: share of the batches that are mixed; if None, 1 if soft and 0.7 if not, as on CIFAR and SVHN.
        block_size: see `PatchUp`.
        axes: axes pattern at the sites.
        valid: see `HiddenMix`.

    >>> net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 8, 3))
    >>> patchup(net, [net, net[2]]).at[net]
    CutMix(axes='b c *', per_sample=False, alpha=1.0, holes=True, adjust_lam=True)

    Source: Faramarzi et al., PatchUp (AAAI 2022), section 3 and appendix; the sites are those of the authors' runs.
    """
    chosen = sites.resnet(net)[:3] if at is None else at
    share = (1.0 if soft else 0.7) if prob is None else prob
    box, blocks = CutMix(axes=axes), PatchUp(soft=soft, block_size=block_size, axes=axes)
    mixers: dict[Site, Draws] = {site: box if site is net else blocks for site in chosen}
    if share < 1:
        mixers = {site: OneOf([mixer, NoMix(axes=axes)], p=[share, 1 - share]) for site, mixer in mixers.items()}
    return HiddenMix(net, mixers, valid=valid)
