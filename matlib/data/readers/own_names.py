"""What one's own sets are called, so that no table or record takes one for another."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from matlib.data.fingerprints import fingerprint
from matlib.data.samples import ReIDDataset
from matlib.errors import MatlibError

_LONGEST, _DIGITS, _PROBED = 40, 6, 16


def own_name(kind: str, dataset: ReIDDataset, source: Path, title: object = None) -> str:
    """``csv:TITLE``, or else, as ``csv:list-3fa2c1``, the file's or folder's name and a digest of the set.

    The digest is of the labels, file names and sizes, and of some pictures: a set has the same name wherever it lies,
    and another set has another one, though it lies in a file of the same name.

    Raises MatlibError for a title that cannot be part of a file's name.
    """
    if title is not None:
        if not re.fullmatch(rf"\w[\w .+-]{{0,{_LONGEST - 1}}}", str(title)):
            raise MatlibError(f"title of {kind} is up to {_LONGEST} letters, digits, spaces and .+-_, the first one a "
                              f"letter or digit; got {str(title)[:200]!r}")
        return f"{kind}:{title}"
    digest = hashlib.sha256(fingerprint(dataset).encode())
    paths = sorted(sample.path for sample in (*dataset.train, *dataset.query, *dataset.gallery))
    for path in paths[:: -(-len(paths) // _PROBED)]:
        digest.update(path.read_bytes())
    stem = source.absolute().stem if kind == "csv" else source.resolve().name
    safe = re.sub(r"[^\w.+-]", "_", stem)[:_LONGEST]
    return f"{kind}:{safe or 'set'}-{digest.hexdigest()[:_DIGITS]}"
