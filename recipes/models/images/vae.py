"""The variational autoencoder of the FMix paper's analysis.

Source: Harris et al. 2020 (FMix), Table I, from the published code: the encoder and the second decoder there that are
named after beta-VAE.
"""

import math

import torch
from torch import Tensor, nn

from recipes.models.arguments import check_positive

SIDE = 32
"""Pixels of an image's side."""


class VAE(nn.Module):
    """A convolutional VAE of images of 32 x 32, with a prior N(0, I) and a Gaussian likelihood of standard deviation 1.

    The encoder gives mean and *logarithm of the standard deviation* of the code; both start at 0, so that the code
    of a new VAE says nothing about its input. ReLU comes before batch norm.

    Args:
        channels: of the images.
        latent: size of the code.

    Raises:
        ValueError: a number is below 1.

    >>> vae = VAE()
    >>> sum(parameter.numel() for parameter in vae.parameters())
    414531
    >>> vae(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2])
    """

    def __init__(self, *, channels: int = 3, latent: int = 64) -> None:
        super().__init__()
        check_positive(channels=channels, latent=latent)
        self.encoder = nn.Sequential(
            *_down(channels, 32),
            *_down(32, 32),
            *_down(32, 64),
            *_down(64, 64),
            nn.Flatten(),
            nn.Linear(64 * 2 * 2, 256),
            nn.ReLU(),
        )
        self.mean, self.log_std = nn.Linear(256, latent), nn.Linear(256, latent)
        self.decoder = nn.Sequential(
            nn.Linear(latent, 256),
            nn.ReLU(),
            nn.Linear(256, 64 * 2 * 2),
            nn.ReLU(),
            nn.Unflatten(1, (64, 2, 2)),
            *_up(64, 64, 5),
            *_up(64, 32, 9),
            *_up(32, 32, 17),
            nn.Upsample(33, mode="bilinear"),
            nn.Conv2d(32, channels, 4, padding=1),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_normal_(module.weight)
        for head in (self.mean, self.log_std):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (B, latent) of the codes of images (B, channels, 32, 32)."""
        features = self.encoder(x)
        return self.mean(features), self.log_std(features)

    def reconstruct(self, x: Tensor, *, noise: float = 0.0, generator: torch.Generator | None = None) -> Tensor:
        """Reconstructions from a random code of each image.

        Args:
            x: images (B, channels, 32, 32).
            noise: standard deviation of the noise added to the mean of the likelihood.
            generator: source of randomness; torch's global generator if None.
        """
        made = self._decode(*self.encode(x), generator)
        return made + noise * _normal(made, generator) if noise else made

    def forward(self, x: Tensor) -> Tensor:
        """The negative evidence lower bound of each image, in nats: (B,) for (B, channels, 32, 32)."""
        mean, log_std = self.encode(x)
        squared = (x - self._decode(mean, log_std, None)).square().flatten(1).sum(1)
        constant = 0.5 * math.log(2 * math.pi) * x[0].numel()
        return squared / 2 + constant + divergence(mean, log_std)

    def _decode(self, mean: Tensor, log_std: Tensor, generator: torch.Generator | None) -> Tensor:
        """The mean of the likelihood of a random code."""
        made: Tensor = self.decoder(mean + log_std.exp() * _normal(mean, generator))
        return made


def divergence(mean: Tensor, log_std: Tensor) -> Tensor:
    """Kullback-Leibler divergence of diagonal Gaussians from N(0, I), in nats.

    Args:
        mean: (B, D).
        log_std: logarithms of the standard deviations (B, D).

    Returns:
        (B,), the sum over D.

    >>> divergence(torch.tensor([[0.0, 2.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    return (torch.expm1(2 * log_std) + mean.square() - 2 * log_std).sum(1) / 2


def _down(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(outputs)


def _up(inputs: int, outputs: int, side: int) -> tuple[nn.Module, ...]:
    """Enlarge to `side`; the convolution then makes it one smaller."""
    enlarge, convolve = nn.Upsample(side, mode="bilinear"), nn.Conv2d(inputs, outputs, 4, padding=1)
    return enlarge, convolve, nn.ReLU(), nn.BatchNorm2d(outputs)


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)
