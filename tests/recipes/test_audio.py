"""The audio recipe, on sung tones and on folders of tiny recordings."""

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

import mixmodal as mm
from recipes import audio
from recipes.audio import Settings
from recipes.data.audio import sets
from recipes.data.loading import ShuffledBatches
from recipes.pictures import audio as pictures
from recipes.pictures.rows import Sample
from recipes.training import presets
from recipes.training.command import Choice, with_preset
from recipes.training.methods import Method

METHODS = ("baseline", "mixup", "cutmix", "fmix", "spec-time", "spec-frequency", "manifold-mixup", "patchup-soft",
           "patchup-hard", "puzzlemix")  # fmt: skip


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    tones = sets.synthetic(classes=3, per_class=6)
    monkeypatch.setattr(audio.sets, "synthetic", lambda: tones)


def smoke(out: Path, *words: str) -> dict[str, Any]:
    settings = ["--data", "synthetic", "--smoke", "--width", "4", "--batch-size", "6", "--device", "cpu"]
    audio.main([*settings, "--out", str(out), *words])
    return json.loads((out / "result.json").read_text())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_and_draws_its_picture(tmp_path: Path, method: str) -> None:
    result = smoke(tmp_path, "--method", method)
    assert 0 <= result["score"] <= 100
    for name in ("curves.png", "samples.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("method", ["baseline", "fmix", "manifold-mixup"])
def test_waveforms_are_mixed_and_heard(tmp_path: Path, method: str) -> None:
    smoke(tmp_path, "--method", method, "--mix", "waveform", "--augment", "none")
    wave, rate = soundfile.read(tmp_path / "mixed.wav")
    assert rate == 16_000
    assert len(wave) == 3 * 16_000 + 2 * 8_000
    assert (tmp_path / "samples.png").read_bytes().startswith(b"\x89PNG")


def test_a_sound_file_holds_own_partner_and_mix(tmp_path: Path) -> None:
    waves = 0.5 * torch.rand(2, 1, 1000) - 0.25
    mixed, mix = mm.MixUp(axes="b c *")(waves, index=torch.tensor([1, 0]), lam=0.25)
    pictures.write_wav(tmp_path / "a.wav", Sample("input", waves, mixed, mix))
    heard, _ = soundfile.read(tmp_path / "a.wav", dtype="float32")
    pause = torch.zeros(8_000)
    own, other = waves[0, 0], waves[1, 0]
    expected = torch.cat([own, pause, other, pause, 0.25 * own + 0.75 * other])
    torch.testing.assert_close(torch.from_numpy(heard), expected, atol=1e-4, rtol=0)


def test_low_frequencies_are_drawn_below() -> None:
    low = torch.full((2, 1, 4, 3), -0.5)
    low[:, :, 0] = 0.5  # energy in the lowest band alone
    mixed, mix = mm.CutMix()(low, index=torch.tensor([1, 0]))
    figure = pictures.spectrograms([Sample("input", low, mixed, mix)], torch.tensor([0, 1]), ("a", "b"))
    own, *_, mask, _ = (axes.images[0].get_array() for axes in figure.subfigs[0].axes[:8:2])
    assert own[-1].tolist() == [1, 1, 1]
    assert own[0].tolist() == [0, 0, 0]
    assert torch.equal(torch.from_numpy(mask.data).flip(0).float(), mix.mask[0])


def test_training_changes_clips_and_evaluation_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []
    monkeypatch.setattr(audio.engine, "fit", lambda task, training, **given: tasks.append(task) or {})
    for augment in ("paper", "none"):
        audio.run(Settings(data="synthetic", augment=augment, out=tmp_path, width=4), "")  # type: ignore[arg-type]
    raw = next(iter(tasks[0].train))
    for task, changed in zip(tasks, (True, False), strict=True):
        as_is, _ = task.prepare(raw, False)
        assert torch.equal(task.prepare(raw, True)[0], as_is) != changed


def write_commands(root: Path, broken: int) -> None:
    """Two clips of each command, by speakers of each split; some of them no sound."""
    lists: dict[str, list[str]] = {"validation_list.txt": [], "testing_list.txt": []}
    generator = torch.Generator().manual_seed(0)
    for word in sets.COMMANDS:
        (root / word).mkdir(parents=True)
        for number in range(4):
            name = f"{word}/{number}_nohash_0.wav"
            soundfile.write(root / name, torch.rand(16_000, generator=generator).numpy() - 0.5, 16_000)
            if number > 1:
                lists[list(lists)[number - 2]].append(name)
    for word in sets.COMMANDS[:broken]:
        (root / word / "0_nohash_0.wav").write_bytes(b"no sound")
    for file, names in lists.items():
        (root / file).write_text("\n".join(names))


def test_broken_files_are_named_and_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_commands(tmp_path / "data", broken=3)
    words = ["--data", "speech-commands", "--data-root", str(tmp_path / "data"), "--cache", str(tmp_path / "cache")]
    with pytest.raises(SystemExit, match=r"recipes.audio: .*3 of 40 clips that cannot be read: .*--skip-broken"):
        smoke(tmp_path / "a", *words)
    smoke(tmp_path / "b", *words, "--skip-broken")
    said = capsys.readouterr().out
    assert "3 files left out: " in said
    for word in sets.COMMANDS[:3]:
        assert f"{word}/0_nohash_0.wav" in said
    smoke(tmp_path / "c", *words, "--skip-broken", "--balanced", "--score-on", "validation")


def test_balanced_batches_hold_all_classes_alike() -> None:
    """90 and 10 samples of two classes, 50 epochs: each class half the draws, within 4 standard errors."""
    labels = torch.tensor([0] * 90 + [1] * 10)
    batches = ShuffledBatches(100, 10, seed=0, weights=sets.balanced_weights(labels))
    drawn = []
    for epoch in range(50):
        batches.set_epoch(epoch)
        drawn += [sample for batch in batches for sample in batch]
    share = labels[drawn].double().mean().item()
    assert abs(share - 0.5) < 4 * 0.5 / len(drawn) ** 0.5


@pytest.mark.parametrize(("preset", "alpha"), [("fmix-paper", 1.0), ("fmix-paper-0.2", 0.2)])
def test_the_papers_settings(preset: str, alpha: float) -> None:
    settings = with_preset(Settings, presets.AUDIO, Choice(preset, "synthetic", "preact18", "cutmix"))
    training = settings.training
    assert settings.mixing == Method(method="cutmix", alpha=alpha)
    assert (settings.data, settings.words, settings.width) == ("speech-commands", "twelve", 64)
    assert (training.epochs, training.batch_size, training.lr, training.milestones) == (90, 128, 0.01, (30, 60, 80))
    assert (training.optimizer, training.weight_decay, training.momentum) == ("sgd", 1e-4, 0.9)


WRONG: dict[str, tuple[list[str], str]] = {
    "missing": (["--data", "speech-commands"], "no folder was given for speech commands: get http.* --download"),
    "nowhere": (["--data", "speech-commands", "--download", "v0.02"], "needs a folder for it: pass --data-root DIR"),
    "site": (["--method", "manifold-mixup", "--sites", "layer9"], "sites: 'layer9' is not a module of this network"),
}


@pytest.mark.parametrize(("words", "message"), WRONG.values(), ids=WRONG.keys())
def test_what_is_wrong_is_said_in_a_sentence(tmp_path: Path, words: list[str], message: str) -> None:
    with pytest.raises(SystemExit, match=f"recipes.audio: .*{message}"):
        smoke(tmp_path, *words)


def test_settings_that_do_not_go_together() -> None:
    with pytest.raises(ValueError, match="mix='waveform' needs --augment none"):
        Settings(mix="waveform")
    with pytest.raises(ValueError, match="noise=True needs --augment paper"):
        Settings(noise=True, augment="none")
