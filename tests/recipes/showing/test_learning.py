"""What the demo trains on, how it trains, and what it says of the scores."""

import re
from pathlib import Path

import pytest
import torch

import mixmodal as mm
from recipes import demo
from recipes.showing import learning
from recipes.showing.tasks import TASKS, noisy


def test_labels_are_replaced_by_chance_and_by_seed() -> None:
    """36 % of 100,000 labels of ten classes are wrong, within 5 standard errors, and all classes are as frequent."""
    labels = torch.arange(10).repeat(10_000)
    wrong = noisy(labels, 10, seed=0)
    error = (0.36 * 0.64 / len(labels)) ** 0.5
    assert abs((wrong != labels).double().mean() - 0.36) < 5 * error
    assert ((wrong.bincount(minlength=10) / 10_000 - 1).abs() < 5 * (0.4 / 10_000) ** 0.5).all()
    assert torch.equal(wrong, noisy(labels, 10, seed=0))
    assert not torch.equal(wrong, noisy(labels, 10, seed=1))


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_split_and_its_network_reads_it(name: str) -> None:
    task = TASKS[name]()
    together = torch.cat([task.train_x, task.test_x]).flatten(1)
    assert len(together.unique(dim=0)) > 0.97 * len(together)  # hardly a sample is there twice
    assert {*task.train_y.tolist()} == {*task.test_y.tolist()} == {*range(task.classes)}
    net = task.network()
    x, valid = net.embed(task.test_x[:6])
    assert net(x, valid).shape == (6, task.classes)


def test_the_network_for_letters_does_not_see_padding() -> None:
    """Neither a longer padding nor a shorter one changes a logit."""
    torch.manual_seed(0)
    task = TASKS["languages"]()
    net = task.network().eval()
    for name, value in net.named_parameters():
        if "bias" in name:
            torch.nn.init.normal_(value)  # so that a layer says something of zeros
    short = task.test_x[task.test_x[:, 30:].sum(1) == 0][:8]
    assert len(short) == 8
    plain = net(*net.embed(short))
    for x in (short[:, :30], torch.cat([short, torch.zeros_like(short)], dim=1)):
        torch.testing.assert_close(net(*net.embed(x)), plain)


@pytest.mark.parametrize("method", learning.METHODS)
def test_a_task_is_learned_from_mixed_batches(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step mixes by the method; the test samples are never mixed; the given labels stay clean."""
    drawn = []

    class Watched(learning.METHODS[method]):  # type: ignore[misc]
        def __call__(self, x: torch.Tensor, **given: object) -> object:
            drawn.append(len(x))
            return super().__call__(x, **given)

    monkeypatch.setitem(learning.METHODS, method, Watched)
    task = TASKS["digits"]().smoke()
    before = task.train_y.clone()
    score = learning.train(task, method, seed=0)
    assert drawn == [64, len(task.train_y) - 64]
    assert torch.equal(task.train_y, before)
    assert 0 <= score <= 100
    assert learning.train(task, method, seed=0) == score


def test_processes_train_what_one_process_does() -> None:
    alone, shared = (list(learning.scores(1, smoke=True, workers=workers)) for workers in (1, 2))
    assert [job for job, _ in alone] == [(task, method, 0) for task in TASKS for method in learning.METHODS]
    assert shared == alone


def test_the_baseline_mixes_nothing() -> None:
    assert learning.METHODS["baseline"] is mm.NoMix


def test_the_table_by_hand() -> None:
    """Differences 10, 12, 14: mean 12, standard error 1.155, and 4.303 of those on either side; then 0, 5, 1."""
    scores = {"baseline": [70, 71, 72], "MixUp": [80, 83, 86], "CutMix": [70, 76, 73], "FMix": [60, 61.5, 61]}
    found = [(("digits", method, seed), float(each)) for method, of in scores.items() for seed, each in enumerate(of)]
    lines = learning.table(learning.by_task(found)).splitlines()[2:]
    assert lines == [
        "| digits | baseline | 3 | 71.0 | – |  |",
        "| digits | MixUp | 3 | 83.0 | +12.0 ± 5.0 | ahead |",
        "| digits | CutMix | 3 | 73.0 | +2.0 ± 6.6 | open |",
        "| digits | FMix | 3 | 60.8 | −10.2 ± 1.9 | behind |",
    ]


@pytest.mark.parametrize(("given", "said"), [({"seeds": 1}, "seeds=1"), ({"workers": 0}, "workers=0")])
def test_settings_are_checked(given: dict[str, int], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        demo.Settings(**given)


def test_the_demo_writes_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.page, "SECTIONS", demo.page.SECTIONS[2:3])  # all of them are drawn in test_page.py
    demo.main(demo.Settings(out=tmp_path / "new", seeds=2, workers=1, smoke=True))
    said = capsys.readouterr().out
    for name in ("see.html", "see.png", "learn.md"):
        assert f"{tmp_path / 'new' / name}" in said
        assert (tmp_path / "new" / name).stat().st_size > 0
    rows = re.findall(r"^\| (digits|languages) \| (\w+) \| 2 \|", (tmp_path / "new/learn.md").read_text(), re.M)
    assert rows == [(task, method) for task in TASKS for method in learning.METHODS]
    assert learning.ABOUT in said
