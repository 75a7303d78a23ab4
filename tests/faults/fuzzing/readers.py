"""All that reads a file, with whole files to begin with: of data, of word vectors, of runs and of checkpoints."""

import gzip
import io
import json
import pickle
import tarfile
import wave
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import soundfile
import torch
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat
from torch import nn

import mixmodal as mm
from mixmodal.frameworks import trainer
from recipes import images
from recipes.data.audio.files import cached, decode
from recipes.data.audio.folders import names_in
from recipes.data.images.altering.published import read_corrupted
from recipes.data.images.files import (
    CifarLayout,
    IdxLayout,
    decode_pickle,
    decode_records,
    read_cifar,
    read_idx,
    read_svhn,
)
from recipes.data.images.folders import TinyLayout, read_images, read_tiny_imagenet
from recipes.data.images.pixels import MOST
from recipes.data.points import modelnet
from recipes.data.points import sets as points
from recipes.data.points.shapes import read_shape
from recipes.data.splits import Entry, Split, held_out
from recipes.data.text import files as text
from recipes.data.text import tables
from recipes.data.text.words import Vocabulary, read_vectors
from recipes.report import Options, build_report
from recipes.reporting.summary import read_run
from recipes.reporting.tables import csv_text, markdown
from recipes.training import command, records
from recipes.training.faults import nonfinite
from recipes.training.faults.nonfinite import Step
from tests.faults.fuzzing.search import Target
from tests.recipes.data.points.test_shapes import ply
from tests.recipes.test_report import write_run

OFF = b"OFF\n4 2 0\n0 0 0\n1 0 0\n1 1 0.5\n0 1 0\n3 0 1 2\n4 0 1 2 3 0.1 0.2 0.3\n"
PIXELS = np.random.default_rng(0).integers(256, size=(2, 32, 32, 3), dtype=np.uint8)
CIFAR = CifarLayout("folder", "a.tar.gz", {"train": 1}, {"test": 1}, lambda *a: decode_records(*a, label_bytes=1))
IDX = IdxLayout(("images", "labels", 2), ("test-images", "test-labels", 2), (2, 3))
TINY = TinyLayout("tiny", classes=1, per_class=1, test=1)
PIXEL = 24
"""Bytes that are taken for each pixel of a picture at most."""
Read = Callable[[Path], object]


def _same(raw: bytes) -> bytes:
    return raw


def _file(
    name: str,
    path: Path,
    read: Read,
    *seeds: bytes,
    pack: Callable[[bytes], bytes] = _same,
    named: tuple[str, ...] = (),
    words: Iterable[bytes] = (),
    share: float = 1.0,
    beside: bool = False,
    memory: int = 0,
) -> Target:
    """A reader of a file, which is written with each input, packed where a checksum would refuse every change.

    A file that others are read beside is whole again after a call.
    """
    path.parent.mkdir(parents=True, exist_ok=True)

    def call(raw: bytes) -> object:
        path.write_bytes(pack(raw))
        try:
            return read(path)
        finally:
            if beside:
                path.write_bytes(pack(seeds[0]))

    errors = (ValueError, FileNotFoundError)
    return Target(name, call, seeds, (path.name, *named), errors, tuple(words), share, memory)


def targets(folder: Path) -> list[Target]:
    """All readers, which write into a folder."""
    return [*_shapes(folder), *_pictures(folder), *_sounds(folder), *_texts(folder), *_archives(folder), *_runs(folder)]


# ---------------------------------------------------------------- shapes


def _npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _zipped(name: str, method: int = zipfile.ZIP_DEFLATED) -> Callable[[bytes], bytes]:
    def pack(raw: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr(name, raw)
        return file.getvalue()

    return pack


def _shapes(folder: Path) -> list[Target]:
    packed = folder / "packed"
    packed.mkdir()
    (packed / "chair_test.npz").write_bytes(_zipped("packed.npy")(_npy(np.zeros((1, 4096), np.uint8))))
    cloud = np.random.default_rng(0).normal(size=(5, 3))
    mesh = io.BytesIO()
    np.savez(mesh, vertices=cloud, faces=np.array([[0, 1, 2], [2, 3, 4]]))
    words = (
        b"OFF",
        b"COFF",
        b"STOFF",
        b"NOFF",
        b"#",
        b"_",
        b"element face 9\n",
        b"property list uchar int x\n",
        b"vertex",
    )
    return [
        _file(
            "OFF",
            folder / "a.off",
            read_shape,
            OFF,
            b"COFF3 1\n0 0 0 1 1 1\n1 0 0 1 1 1\n0 1 0 0 0 0\n3 0 1 2",
            words=words,
        ),
        _file(
            "PLY",
            folder / "a.ply",
            read_shape,
            *map(ply, ("ascii", "binary_little_endian", "binary_big_endian")),
            words=words,
        ),
        _file("npz of a shape", folder / "a.npz", read_shape, mesh.getvalue()),
        _file("npz: an array in it", folder / "b.npz", read_shape, _npy(cloud), pack=_zipped("points.npy")),
        _file(
            "packed voxels",
            packed / "chair_train.npz",
            lambda path: points.load("modelnet10-voxels", path.parent, form="voxels"),
            _npy(np.zeros((1, 4096), np.uint8)),
            pack=_zipped("packed.npy", zipfile.ZIP_STORED),
            share=0.3,
        ),
    ]


# ---------------------------------------------------------------- pictures


def _picture(kind: str, mode: str = "RGB") -> bytes:
    file = io.BytesIO()
    picture = Image.fromarray(PIXELS[0, :6, :5]).convert(mode)
    picture.save(file, kind)
    return file.getvalue()


def _pictures(folder: Path) -> list[Target]:
    kinds = ["PNG", "BMP", "PPM", "GIF", "TIFF", "JPEG", "WEBP"]
    mat = io.BytesIO()
    savemat(mat, {"X": PIXELS[:1].transpose(1, 2, 3, 0), "y": np.array([[3]], np.uint8)})
    svhn = folder / "svhn"
    svhn.mkdir()
    (svhn / "test").write_bytes(mat.getvalue())
    corrupted = folder / "CIFAR-10-C"
    corrupted.mkdir()
    (corrupted / "labels.npy").write_bytes(_npy(np.zeros(5, np.int64)))
    (corrupted / "fog.npy").write_bytes(_npy(np.zeros((5, 2, 2, 3), np.uint8)))
    tiny = folder / "tiny"
    for place in ("train/n1/images", "val/images"):
        (tiny / place).mkdir(parents=True)
        (tiny / place / "a.png").write_bytes(_picture("PNG"))
    (tiny / "wnids.txt").write_text("n1\n")
    (tiny / "words.txt").write_text("n1\tdog, hound\n")
    (tiny / "val" / "val_annotations.txt").write_text("a.png\tn1\t0\t0\t1\t1\n")

    def read_tiny(_: Path) -> object:
        return read_tiny_imagenet((tiny,), TINY)

    idx = folder / "idx"
    idx.mkdir()
    two = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(12)
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes(2)
    (folder / "idz").mkdir()
    for name, raw in (("labels", labels), ("test-images", two), ("test-labels", labels)):
        (idx / name).write_bytes(raw)
        (folder / "idz" / name).write_bytes(raw)
    cifar = {b"data": np.zeros((1, 3072), np.uint8), b"labels": [7], b"batch_label": b"x"}
    read_all = lambda path: read_images(path.parents[1])
    return [
        *(
            _file(
                f"image: {kind}",
                folder / kind / "class" / "a.png",
                read_all,
                _picture(kind),
                share=0.6,
                memory=MOST * PIXEL,
            )
            for kind in kinds
        ),
        _file(
            "image: grey, 16 bits, palette",
            folder / "modes" / "class" / "a.png",
            read_all,
            *(_picture("PNG", m) for m in ("L", "I;16", "P", "RGBA", "1")),
            memory=MOST * PIXEL,
        ),
        _file("idx", idx / "images", lambda path: read_idx((path.parent,), IDX), two),
        _file(
            "idx, gzipped",
            folder / "idz" / "images.gz",
            lambda path: read_idx((path.parent,), IDX),
            gzip.compress(two),
            named=("images",),
            share=0.5,
        ),
        Target(
            "CIFAR: records",
            lambda raw: decode_records(raw, "a.bin", 1, label_bytes=1),
            (bytes(3073),),
            ("a.bin",),
            share=0.3,
        ),
        Target(
            "CIFAR: pickle",
            lambda raw: decode_pickle(raw, "batch_1", 1, labels=b"labels"),
            tuple(pickle.dumps(cifar, protocol) for protocol in (3, 4)),
            ("batch_1",),
            words=(b"cos\nsystem\n", b"\x80\x04", b"R", b"b", b"cnumpy\nndarray\n", b"(I1\nI3072\nt"),
            share=2,
        ),
        _file(
            "SVHN: mat", svhn / "train", lambda path: read_svhn((path.parent,), {"train": 1, "test": 1}), mat.getvalue()
        ),
        _file(
            "CIFAR-10-C: images",
            corrupted / "fog.npy",
            lambda path: read_corrupted(folder, "cifar10", "fog", 1),
            _npy(np.zeros((5, 2, 2, 3), np.uint8)),
        ),
        _file(
            "CIFAR-10-C: labels", folder / "C" / "CIFAR-10-C" / "labels.npy", _with_images, _npy(np.zeros(5, np.int64))
        ),
        *(
            _file(
                f"Tiny-ImageNet: {name}",
                tiny / name,
                read_tiny,
                (tiny / name).read_bytes(),
                named=("tiny",),
                share=0.3,
                beside=True,
            )
            for name in ("wnids.txt", "words.txt", "val/val_annotations.txt")
        ),
    ]


def _with_images(path: Path) -> object:
    """Read labels beside images."""
    if not (path.parent / "fog.npy").exists():
        (path.parent / "fog.npy").write_bytes(_npy(np.zeros((5, 2, 2, 3), np.uint8)))
    return read_corrupted(path.parents[1], "cifar10", "fog", 1)


# ---------------------------------------------------------------- sounds


def _sound(kind: str, subtype: str, rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.sin(np.arange(160) / 9), rate, subtype, format=kind)
    return file.getvalue()


def _sounds(folder: Path) -> list[Target]:
    plain = io.BytesIO()
    with wave.open(plain, "wb") as file:
        file.setparams((2, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(range(64)))
    waves = (plain.getvalue(), _sound("WAV", "PCM_16"), _sound("WAV", "FLOAT", 44_100), _sound("RF64", "PCM_U8"))
    others = (_sound("AIFF", "PCM_16"), _sound("AU", "PCM_16"), _sound("W64", "PCM_24"))
    coded = (_sound("FLAC", "PCM_16"), _sound("OGG", "VORBIS"), _sound("MP3", "MPEG_LAYER_III"))
    words = (b"RIFF", b"RF64", b"WAVE", b"fmt ", b"data", b"ds64", b"fact", b"LIST", b"FORM", b"AIFC", b"SSND", b".snd")
    clips = folder / "clips"
    clips.mkdir()
    for name in ("a.wav", "b.wav"):
        (clips / name).write_bytes(waves[1])
    cached(clips, ["a.wav", "b.wav"], folder / "cache", 4)
    cache = next((folder / "cache").iterdir())
    return [
        Target("sound: WAV", decode, waves, errors=(ValueError,), words=words, share=1.5),
        Target("sound: AIFF, AU, W64", decode, others, errors=(ValueError,), words=words),
        Target(
            "sound: FLAC, OGG, MP3", decode, coded, errors=(ValueError,), words=(b"fLaC", b"OggS", b"ID3"), share=0.4
        ),
        _file(
            "cache of clips",
            cache,
            lambda _: _clips(*cached(clips, ["a.wav", "b.wav"], folder / "cache", 4)),
            cache.read_bytes(),
        ),
        _file(
            "list of clips",
            folder / "testing_list.txt",
            lambda path: names_in(path, ["yes"]),
            b"yes/a_nohash_0.wav\nno/b.wav\n",
            share=0.3,
        ),
    ]


def _clips(waves: torch.Tensor, broken: dict[str, str]) -> None:
    """A clip for each name that is not broken, as labels are made of."""
    assert len([name for name in ("a.wav", "b.wav") if name not in broken]) == len(waves)


# ---------------------------------------------------------------- texts


def _texts(folder: Path) -> list[Target]:
    columns, split = tables.Columns("text", ("mood",)), Split(test_share=0.5, group="who")
    rows = [
        ("so good", "up", "1"),
        ("so bad", "down", "2"),
        ("fine", "up", "3"),
        ("poor", "down", "4"),
        ("a", "up", "5"),
        ("b", "down", "6"),
    ]
    csv = b"text,mood,who\n" + b"".join(",".join(row).encode() + b"\n" for row in rows)
    jsonl = b"".join(json.dumps(dict(zip(("text", "mood", "who"), row, strict=True))).encode() + b"\n" for row in rows)
    vectors = b"2 3\ngood 1 2 3\nfilm 0.5 -1 1e-3\n"
    known = Vocabulary(("<pad>", "<unk>", "good", "film"))
    entries = [Entry(name, ("x",), name) for name in ("a", "b", "c")]
    toxic = b'id,comment_text,toxic,severe_toxic,obscene,threat,insult,identity_hate\n1,"a, b",0,1,0,0,0,1\n'
    labels = b"id,toxic,severe_toxic,obscene,threat,insult,identity_hate\n2,0,0,0,0,0,0\n3,-1,-1,-1,-1,-1,-1\n"
    tests = b'id,comment_text\n2,"x ""y"""\n3,z\n'
    others = {
        "yelp": {"train.csv": b'"1","a \\n ""b"""\n"2","title","text"\n', "test.csv": b'"1","a"\n'},
        "sst2": {"train.tsv": b"a fine film\t1\nbad\t0\n", "test.tsv": b"a\t1\n"},
        "go": {"train.tsv": b"hello\t0,27\teabc\n", "test.tsv": b"a\t3\te1\n"},
        "toxic": {"train.csv": toxic, "test.csv": tests, "test_labels.csv": labels},
    }
    for name, files in others.items():
        (folder / name).mkdir()
        for file, raw in files.items():
            (folder / name / file).write_bytes(raw)
    readers: dict[str, Read] = {
        "yelp": lambda path: text.read_yelp((path.parent,), 2),
        "sst2": lambda path: text.read_sst2((path.parent,)),
        "go": lambda path: text.read_goemotions((path.parent,)),
        "toxic": lambda path: text.read_toxic((path.parent,)),
    }
    return [
        _file(
            "csv",
            folder / "t.csv",
            lambda path: tables.load("csv", path, columns, split),
            csv,
            words=(b'""', b"\r"),
            share=2,
        ),
        _file(
            "jsonl",
            folder / "t.jsonl",
            lambda path: tables.load("jsonl", path, columns, split),
            jsonl,
            words=(b"NaN", b"9" * 5000, b"[" * 2000),
            share=2,
        ),
        _file(
            "list of test samples",
            folder / "list.txt",
            lambda path: held_out(entries, Split(test_list=path), f"{path}"),
            b"a\nc\n",
            share=0.3,
        ),
        *(
            _file(
                f"{name}: {file}",
                folder / name / file,
                readers[name],
                raw,
                named=(f"{folder / name}",),
                words=(b'"', b"\r\n"),
                share=0.4,
                beside=True,
            )
            for name, files in others.items()
            for file, raw in files.items()
        ),
        _file("word vectors", folder / "w.vec", lambda path: read_vectors(path, known), vectors, b"good 1\nfilm 2\n"),
        _file(
            "word vectors, gzipped",
            folder / "w.vec.gz",
            lambda path: read_vectors(path, known),
            gzip.compress(vectors),
            share=0.5,
        ),
        _file(
            "word vectors, then gzipped",
            folder / "x.vec.gz",
            lambda path: read_vectors(path, known),
            vectors,
            pack=lambda raw: gzip.compress(raw, 1),
            share=0.5,
        ),
    ]


# ---------------------------------------------------------------- archives


def _tar(mode: str, **members: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for name, raw in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return file.getvalue()


def _archives(folder: Path) -> list[Target]:
    reviews = {f"aclImdb/{split}/{side}/0_9.txt": b"fine" for split in ("train", "test") for side in ("neg", "pos")}
    batches = {"cifar/train": bytes(3073), "cifar/test": bytes(3073)}
    words = (b"0000644\0", b"2", b"1", b"L", b"x", b"7777777777\0", b"../../x", b"/etc/passwd", b"\x80" + b"\xff" * 11)
    facts = modelnet.ModelNet("ModelNet10", "https://host/ModelNet10.zip", (1, 1))
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as archive:
        for split in modelnet.SPLITS:
            archive.writestr(f"ModelNet10/bed/{split}/bed_1.off", OFF)
    names = (b"ModelNet10/../../outside/", b"/etc/passwd", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")

    def unpack(path: Path) -> None:
        inside = folder / "zip" / "inside"
        inside.mkdir(exist_ok=True)
        modelnet._unpack(path, inside, facts)
        outside = [each for each in folder.iterdir() if each.name == "outside"]
        assert not outside, "a path leaves the folder"

    return [
        _file("CIFAR: tar", folder / "a.tar", _cifar("a.tar"), _tar("w", **batches), words=words),
        _file("CIFAR: tar.gz", folder / "a.tar.gz", _cifar("a.tar.gz"), _tar("w:gz", **batches), share=0.5),
        _file(
            "IMDb: tar.gz",
            folder / "aclImdb_v1.tar.gz",
            lambda path: text.read_imdb((path,)),
            _tar("w:gz", **reviews),
            share=0.5,
        ),
        _file(
            "IMDb: tar", folder / "imdb.tar", lambda path: text.read_imdb((path,)), _tar("w", **reviews), words=words
        ),
        _file("ModelNet: zip", folder / "zip" / "ModelNet10.zip", unpack, zipped.getvalue(), words=names),
    ]


def _cifar(archive: str) -> Read:
    layout = CifarLayout("folder", archive, CIFAR.train, CIFAR.test, CIFAR.decode)
    return lambda path: read_cifar((path,), (layout,))


# ---------------------------------------------------------------- runs


def _runs(folder: Path) -> list[Target]:
    run = write_run(folder / "run", "baseline", 0, 80.0, result={"nll": 0.5})
    result, config = (run / "result.json").read_bytes(), (run / "config.json").read_bytes()

    def report(path: Path) -> object:
        made = build_report([read_run(path.parent)], Options(run, folder / "name"))
        return markdown(made).encode(), csv_text(made).encode()

    def report_of(name: str, raw: bytes) -> Target:
        other = write_run(folder / f"of-{name}", "baseline", 0, 80.0, result={"nll": 0.5})
        return _file(
            f"run: {name}, reported",
            other / name,
            report,
            raw,
            named=(str(other), "baseline names"),
            words=words,
            share=1.5,
        )

    words = (
        b"NaN",
        b"Infinity",
        b"1e400",
        b"9" * 400,
        b"9" * 5000,
        b"[" * 2000,
        b"{}",
        b"'",
        b"seed",
        b"nll",
        b"score",
    )
    model, settings = nn.Linear(2, 2), {"recipe": "toy", "epochs": 4, "lr": 0.1, "method": "fmix", "seed": 0}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = records.State(model, optimizer, {})
    state.save(folder / "c.safetensors", records.Saved(2, [[{}]], settings, ("cpu",)))
    x, y = torch.randn(2, 1, 3), torch.tensor([0, 1])
    nonfinite.save(folder / "n.safetensors", Step(1, torch.tensor(torch.nan), x, y, mm.FMix()(x)[1]), 1)
    metrics = b"".join(json.dumps({"epoch": epoch, "train_loss": 0.5}).encode() + b"\n" for epoch in (1, 2))
    turns = io.BytesIO()
    mixing = SimpleNamespace(mixer=mm.Alternate([mm.FMix(), mm.MixUp()]))
    torch.save(mixing.mixer.state_dict(), turns)
    mixing.state_dict, mixing.load_state_dict = mixing.mixer.state_dict, mixing.mixer.load_state_dict
    own = json.dumps(command.config("images", images.Settings()), indent=2).encode()
    checkpoint = (folder / "c.safetensors").read_bytes()
    shapes = {f"{split}_{kind}": torch.zeros(1, 3) for split in ("train", "test") for kind in "xy"}
    save_file(shapes, folder / "shapes.safetensors")
    return [
        report_of("result.json", result),
        report_of("config.json", config),
        _file(
            "run: config.json, resumed",
            folder / "r" / "config.json",
            lambda path: records.open_folder(path.parent, settings, resume=True),
            json.dumps(settings).encode(),
            words=words,
        ),
        _file("run: config.json, settings", folder / "s" / "config.json", _settings, own, words=words),
        _file(
            "run: metrics.jsonl",
            folder / "m" / "metrics.jsonl",
            lambda path: records.read_entries(path.parent, 2),
            metrics,
            words=words,
            share=0.3,
        ),
        _file(
            "checkpoint, resumed",
            folder / "d.safetensors",
            lambda path: _resumed(state, path, settings),
            checkpoint,
            words=words,
            share=1.5,
        ),
        _file("checkpoint, analysed", folder / "e.safetensors", records.read_model, checkpoint, words=words),
        _file(
            "checkpoint, looked at", folder / "f.safetensors", records.epochs_saved, checkpoint, words=words, share=0.5
        ),
        _file(
            "batch that was not finite",
            folder / "g.safetensors",
            lambda path: nonfinite.read(path),
            (folder / "n.safetensors").read_bytes(),
            words=words,
        ),
        _file(
            "turns of mixers, pth",
            folder / "mixing_state_0.pth",
            lambda path: trainer._load(mixing, path),
            turns.getvalue(),
        ),  # type: ignore[arg-type]
    ]


def _settings(path: Path) -> object:
    from recipes.reporting.summary import read_json

    return command.settings_of(images.Settings, read_json(path, ("recipe",)))


def _resumed(state: records.State, path: Path, settings: dict[str, object]) -> object:
    saved = state.load(path)
    records.check_same(dict(saved.config), settings, path)
    records.load_mixers([mm.FMix()], saved.mixers, 0, 1)
    return saved.epoch + 1, ", ".join(saved.places)
