"""Identities and cameras of a ranking: which gallery images count for a query, and how."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from matlib.errors import MatlibError

Array = np.ndarray | Tensor | Sequence


class Labels(NamedTuple):
    query_ids: Int64[np.ndarray, " q"]
    gallery_ids: Int64[np.ndarray, " g"]
    query_cameras: Int64[np.ndarray, " q"]
    gallery_cameras: Int64[np.ndarray, " g"]


class Pairs(NamedTuple):
    """The pairs of a query and a gallery image of its identity, by query and then in the order of the gallery."""

    rows: Int64[np.ndarray, " p"]
    """Which of the chosen queries."""
    items: Int64[np.ndarray, " p"]
    junk: Bool[np.ndarray, " p"]
    """From the query's own camera: dropped from the ranking. The others are the matches."""


class IdentityIndex:
    """Finds the gallery images of an identity without a pass over the gallery."""

    def __init__(self, labels: Labels):
        self.labels = labels
        self.order = np.argsort(labels.gallery_ids, kind="stable")
        self.sorted_ids = labels.gallery_ids[self.order]

    def pairs(self, queries: Int64[np.ndarray, " c"]) -> Pairs:
        """All pairs of some of the queries."""
        start, count = self._ranges(self.labels.query_ids[queries])
        rows = np.repeat(np.arange(len(queries)), count)
        items = self.order[_ranges(start, count)]
        junk = self.labels.gallery_cameras[items] == self.labels.query_cameras[queries][rows]
        return Pairs(rows, items, junk)

    def items(self, queries: Int64[np.ndarray, " c"]) -> Int64[np.ndarray, " i"]:
        """The gallery images of the identities of some of the queries, each once, in the order of the gallery."""
        return np.sort(self.order[_ranges(*self._ranges(np.unique(self.labels.query_ids[queries])))])

    def counts(self) -> Int64[np.ndarray, " q"]:
        """How many gallery images each query's identity has."""
        return self._ranges(self.labels.query_ids)[1]

    def _ranges(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        start = np.searchsorted(self.sorted_ids, ids)
        return start, np.searchsorted(self.sorted_ids, ids, side="right") - start


def _ranges(start: Int64[np.ndarray, " n"], count: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " total"]:
    """start, start + 1, ... (count numbers), for each of n, one after the other."""
    return np.arange(count.sum()) + np.repeat(start - np.cumsum(count) + count, count)


def has_match(labels: Labels) -> Bool[np.ndarray, " q"]:
    """Whether the gallery has the query's identity under another camera."""
    queries = len(labels.query_ids)
    ids = np.unique(np.concatenate([labels.query_ids, labels.gallery_ids]), return_inverse=True)[1]
    cameras = np.unique(np.concatenate([labels.query_cameras, labels.gallery_cameras]), return_inverse=True)[1]
    both = np.unique(ids * (cameras.max() + 1) + cameras, return_inverse=True)[1]
    alike, junk = (np.bincount(codes[queries:], minlength=codes.max() + 1)[codes[:queries]] for codes in (ids, both))
    return alike > junk


def why_unmatched(labels: Labels) -> str:
    """Why no query has a match, in a sentence."""
    known = np.isin(labels.query_ids, labels.gallery_ids)
    if known.all():
        return ("every match of every query is from the query's own camera: the protocol drops such gallery images, so "
                "give the true camera of each image, or, where there are no cameras, 0 to queries and 1 to the gallery")
    if not known.any():
        return ("no query has a match: not one identity of the queries is in the gallery; check that both come from "
                "one set")
    return (f"no query has a match: the identities of {(~known).sum()} queries are not in the gallery, and those of "
            f"the other {known.sum()} are there from the query's own camera only, which the protocol drops")


def checked_labels(query_ids: Array, gallery_ids: Array, query_cameras: Array, gallery_cameras: Array) -> Labels:
    """The labels as int64; raises MatlibError for an empty side, lengths that do not fit, and what is not integers."""
    labels = Labels(_integers(query_ids, "query_ids"), _integers(gallery_ids, "gallery_ids"),
                    _integers(query_cameras, "query_cameras"), _integers(gallery_cameras, "gallery_cameras"))
    for side, ids, cameras in (("query", labels.query_ids, labels.query_cameras),
                               ("gallery", labels.gallery_ids, labels.gallery_cameras)):
        if not len(ids):
            raise MatlibError(f"the {side} side is empty: there is nothing to rank")
        if len(ids) != len(cameras):
            raise MatlibError(f"{side}_ids has {len(ids)} values, but {side}_cameras has {len(cameras)}")
    return labels


def _integers(values: Array, name: str) -> Int64[np.ndarray, " n"]:
    try:
        array = to_numpy(values)
    except ValueError:
        raise MatlibError(f"{name} is to be one-dimensional, but holds lists of different lengths") from None
    if array.ndim != 1:
        raise MatlibError(f"{name} is to be one-dimensional, but has the shape {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise MatlibError(f"{name} is to hold integers, but its type is {array.dtype}")
    return array.astype(np.int64)


def to_numpy(values: Array) -> np.ndarray:
    """As an array; where it can be (in the CPU's memory, of a type that NumPy knows), without a copy."""
    if isinstance(values, Tensor):
        values = values.detach()
        return (values.float() if values.dtype == torch.bfloat16 else values).cpu().numpy()
    return np.asarray(values)
