"""The VAE of the FMix paper against its formulas, by torch.distributions."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from recipes.models.images.vae import VAE, divergence


def test_it_has_the_papers_parameters() -> None:
    assert sum(parameter.numel() for parameter in VAE().parameters()) == 414_531
    with pytest.raises(ValueError, match="latent=0"):
        VAE(latent=0)


def test_a_new_one_tells_nothing_of_its_input() -> None:
    mean, log_std = VAE().encode(torch.randn(4, 3, 32, 32))
    assert mean.abs().max() == log_std.abs().max() == 0
    assert divergence(mean, log_std).tolist() == [0] * 4


def test_convolutions_start_as_xavier_has_it() -> None:
    for layer in (VAE().encoder[3], VAE().decoder[6]):  # of 32 and of 64 channels on both sides
        fan = layer.weight.shape[0] * 16
        spread, n = math.sqrt(2 / (fan + fan)), layer.weight.numel()
        assert abs(layer.weight.std().item() - spread) < 4.5 * spread / math.sqrt(2 * n)


def test_the_divergence_is_that_of_torch() -> None:
    mean, log_std = torch.randn(5, 8), torch.randn(5, 8)
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(torch.zeros(5, 8), torch.ones(5, 8))).sum(1)
    assert torch.allclose(divergence(mean, log_std), expected, rtol=1e-4)


def test_the_loss_is_the_negative_bound() -> None:
    vae = VAE().eval()
    torch.nn.init.normal_(vae.mean.weight, std=0.1)
    torch.nn.init.normal_(vae.log_std.weight, std=0.05)
    x = torch.randn(3, 3, 32, 32)
    torch.manual_seed(5)
    loss = vae(x)
    torch.manual_seed(5)
    code = Normal(vae.mean(vae.encoder(x)), vae.log_std(vae.encoder(x)).exp())
    made = vae.decoder(code.mean + code.stddev * torch.randn(3, 64))
    assert made.shape == x.shape
    likelihood = Independent(Normal(made, 1.0), 3).log_prob(x)
    prior = Normal(torch.zeros(64), torch.ones(64))
    assert torch.allclose(loss, -likelihood + kl_divergence(code, prior).sum(1), rtol=1e-5)


def test_reconstructions_are_of_random_codes_with_noise() -> None:
    vae = VAE().eval()
    x = torch.randn(2, 3, 32, 32)
    torch.nn.init.normal_(vae.mean.weight, std=0.1)
    with torch.no_grad():
        mean, log_std = vae.encode(x)
        draw = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
        plain = vae.reconstruct(x, generator=torch.Generator().manual_seed(3))
        assert torch.allclose(plain, vae.decoder(mean + log_std.exp() * draw), atol=1e-6)
        noise = vae.reconstruct(x, noise=0.1, generator=torch.Generator().manual_seed(3)) - plain
    n = noise.numel()
    assert abs(noise.std().item() - 0.1) < 4.5 * 0.1 / math.sqrt(2 * n)
    assert abs(noise.mean().item()) < 4.5 * 0.1 / math.sqrt(n)
