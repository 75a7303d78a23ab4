"""Sets from the Hugging Face hub."""

from typing import Any


def fetch(repo: str, config: str | None) -> Any:
    """Fetch a repository from the hub, or read a local folder of the same form, as a ``datasets.DatasetDict``.

    Args:
        repo: the repository or folder.
        config: which of its sets, if it has several.

    Raises:
        ImportError: the package ``datasets`` is missing.
        ConnectionError: the repository cannot be reached.
    """
    try:
        import datasets
    except ImportError as error:
        raise ImportError("hub=True needs the package datasets: pip install 'mixmodal[recipes]'") from error
    try:
        return datasets.load_dataset(repo, config)
    except OSError as error:
        raise ConnectionError(
            f"{repo} cannot be fetched from the Hugging Face hub ({type(error).__name__}): check the network, "
            "or give the published files with --data-root"
        ) from error
