"""How recipes mix: what a picture shows is what the sites see, and nothing is learned from it."""

import pytest
import torch
from torch import Tensor, nn

import mixmodal as mm
from recipes.training.mixing import AtSites, WithSaliency


class Net(nn.Module):
    """A convolution, a recurrent layer and a layer that is called by name."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm1d(4)
        self.rnn = nn.GRU(4, 3, batch_first=True)
        self.last = Last()

    def forward(self, x: Tensor) -> Tensor:
        states, _ = self.rnn(self.norm(self.stem(x)).movedim(1, 2))
        return self.last(factor=2.0, states=states)


class Last(nn.Module):
    def forward(self, states: Tensor, factor: float) -> Tensor:
        return (states * factor).mean(1)


def test_samples_are_what_the_sites_see_and_leave_the_network_alone() -> None:
    net = Net()
    sites = [net, net.norm, (net.rnn, "output"), (net.last, "states")]
    axes = ["b c *", "b c *", "b * d", "b * d"]
    mixing = AtSites(net, {site: mm.CutMix(axes=each) for site, each in zip(sites, axes, strict=True)})
    x, y = torch.randn(4, 2, 8), torch.tensor([0, 1, 2, 0])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    shown = mixing.samples(net, x, y)
    assert [sample.name for sample in shown] == ["input", "input of norm", "output of rnn", "states of last"]
    net.eval()
    stem = net.stem(x)
    states = net.rnn(net.norm(stem).movedim(1, 2))[0]
    for sample, expected in zip(shown, (x, stem, states, states), strict=True):
        torch.testing.assert_close(sample.before, expected)
        torch.testing.assert_close(sample.after, sample.mix(sample.before))
        assert not sample.before.requires_grad
    for name, value in net.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_step_predicts_for_what_was_mixed() -> None:
    net = Net()
    mixing = AtSites(net, {net: mm.MixUp()})
    x, y = torch.randn(4, 2, 8), torch.tensor([0, 1, 2, 0])
    net.norm.momentum = 0.0
    preds, mix = mixing(net, x, y)
    mixing.hidden.remove()
    torch.testing.assert_close(preds, net(mix(x)))
    assert mixing.mixers == (mm.MixUp(),)


@pytest.mark.parametrize("keep", [0.0, 0.5])
def test_puzzle_mix_in_a_step(keep: float) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 5))
    mixing = WithSaliency(net, mm.PuzzleMix(), keep=keep)
    x, y = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 3])
    preds, mix = mixing(net, x, y)
    torch.testing.assert_close(preds, net(mix(x)))
    learned = net[1].weight.grad
    if keep:
        expected = torch.autograd.grad(keep * nn.functional.cross_entropy(net(x), y), net[1].weight)[0]
        torch.testing.assert_close(learned, expected)
    else:
        assert learned is None
    (sample,) = mixing.samples(net, x, y)
    torch.testing.assert_close(sample.after, sample.mix(x))


def test_the_clean_loss_of_puzzle_mix_is_for_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    net = nn.Linear(2, 2)
    with pytest.raises(ValueError, match=r"clean_lam=0.5 works in one process only; set it to 0"):
        WithSaliency(net, mm.PuzzleMix(), keep=0.5)
    WithSaliency(net, mm.PuzzleMix())
