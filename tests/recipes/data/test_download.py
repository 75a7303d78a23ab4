"""Archives are fetched over https, whole and as published, or not at all."""

import hashlib
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from recipes.data.audio.folders import URL
from recipes.data.download import fetch, temporary
from recipes.data.points.modelnet import MODELNETS


class Response(io.BytesIO):
    """What a server answers, from an address, with the length that it promises."""

    def __init__(self, raw: bytes, url: str, promised: int | None = None) -> None:
        super().__init__(raw)
        self.url, self.headers = url, Message()
        self.headers["Content-Length"] = str(len(raw) if promised is None else promised)

    def geturl(self) -> str:
        return self.url


def serve(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    def urlopen(*_: object, **__: object) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)


def test_a_file_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bytes(range(256)) * 10_000  # more than one piece
    serve(monkeypatch, Response(raw, "https://other/a"))
    fetch("https://host/a", tmp_path / "a", digest=hashlib.sha256(raw).hexdigest())
    assert (tmp_path / "a").read_bytes() == raw


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            urllib.error.URLError("no route"),
            ConnectionError,
            "https://host/a cannot be fetched .*no route.*--data-root",
        ),
        (TimeoutError("slow"), ConnectionError, "cannot be fetched .*slow"),
        (Response(b"abc", "https://host/a", 4), ConnectionError, "broke off after 3 of 4 bytes: try again"),
        (Response(b"abc", "http://host/a"), ValueError, "would come from http://host/a, expected https"),
        (Response(b"abd", "https://host/a"), ValueError, "SHA-256 a52d159f.*, expected ba7816bf"),
    ],
    ids=["unreachable", "slow", "cut off", "not https", "another"],
)
def test_a_file_that_is_not_what_was_published(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: Any, error: type[Exception], message: str
) -> None:
    serve(monkeypatch, answer)
    with pytest.raises(error, match=message):
        fetch("https://host/a", tmp_path / "a", digest=hashlib.sha256(b"abc").hexdigest())


def test_a_url_without_https_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, Response(b"abc", "https://host/a"))
    with pytest.raises(ValueError, match="http://host/a would come from http://host/a, expected https"):
        fetch("http://host/a", tmp_path / "a")


def test_all_that_is_fetched_comes_over_https() -> None:
    assert all(url.startswith("https://") for url in (URL, *(facts.url for facts in MODELNETS.values())))


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch])
def test_of_what_is_temporary_nothing_is_left(tmp_path: Path, make: Callable[[Path], None]) -> None:
    with temporary(tmp_path / "a") as own:
        make(own)
        assert own.exists()
    assert not list(tmp_path.iterdir())
