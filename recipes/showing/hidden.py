"""What PatchUp and Manifold Mixup do to a feature map inside a network."""

import torch
from matplotlib import colormaps
from torch import Tensor
from torchvision.models import resnet18

import mixmodal as mm
from recipes.showing.exhibits import SWAP, Exhibit, Section, grey, shares, two_photographs
from recipes.showing.media import Picture

METHODS: dict[str, tuple[str, mm.Mixer]] = {
    "PatchUp, soft": ("mm.PatchUp(block_size=7)", mm.PatchUp(block_size=7)),
    "PatchUp, hard": ("mm.PatchUp(block_size=7, soft=False)", mm.PatchUp(block_size=7, soft=False)),
    "Manifold Mixup": ("mm.MixUp()", mm.MixUp()),
}
"""Title, code and mixer."""
CODE = "hidden = mm.HiddenMix(net, {net.layer1: METHOD})  # once\nlogits, mix = hidden(x)\nloss = mix.loss(logits, y)"
ABOUT = (
    "The same photographs, mixed where they enter the first stage of a ResNet. One of its 64 feature maps is shown; "
    "PatchUp draws blocks of its own for each of them. Here the shares are drawn too. No line of the network changes."
)


@torch.no_grad()
def feature_maps() -> Section:
    """The feature map with the highest contrast, for both photographs."""
    batch, names = two_photographs()
    torch.manual_seed(0)
    net = resnet18(weights=None)
    maps = net.maxpool(net.relu(net.bn1(net.conv1(batch))))
    channel = int(maps.flatten(2).std(2).amin(0).argmax())
    high = maps[:, channel].quantile(0.99)

    def picture(x: Tensor, alt: str) -> Picture:
        shown = (x[channel] / high).clamp(0, 1)
        return Picture(colormaps["viridis"](shown.numpy())[..., :3], alt, sharp=True)

    found = []
    for title, (code, mixer) in METHODS.items():
        torch.manual_seed(1)
        mixed, mix = mixer(maps, index=SWAP)
        label = shares(mix.lam, names)
        mask = mix.mask[0].expand(maps.shape[1:])[channel]
        pictures = grey(mask, "Mask of the feature map"), picture(mixed[0], f"Feature map mixed by {title}: {label}")
        found.append(Exhibit(title, CODE.replace("METHOD", code), *pictures, label))
    own, partner = (picture(x, f"Feature map of the {name}") for x, name in zip(maps, names, strict=True))
    return Section("Inside a network", ABOUT, own, partner, names, found)
