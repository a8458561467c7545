"""Properties of the identity sampler."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matlib.data import IdentitySampler
from matlib.errors import MatlibError


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(1, 9), min_size=1, max_size=12))
    identities = np.repeat(np.array(draw(st.permutations(range(len(counts))))) * 3, counts)
    order = draw(st.permutations(range(len(identities))))
    return identities[list(order)], draw(st.integers(1, len(counts))), draw(st.integers(1, 5))


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(0, 3))
def test_batches(case, seed):
    identities, per_batch, per_identity = case
    sampler = IdentitySampler(identities.tolist(), per_batch, per_identity, seed)
    batches = list(sampler)
    found = len(set(identities))
    assert len(batches) == len(sampler)
    assert len(sampler) == max(1, len(identities) // (per_batch * per_identity), math.ceil(found / per_batch))
    available = Counter(identities.tolist())
    visits = Counter()
    for batch in batches:
        groups = np.array(batch).reshape(per_batch, per_identity)
        owners = identities[groups]
        assert (owners == owners[:, :1]).all()  # one identity after another
        assert len(set(owners[:, 0])) == per_batch  # all different
        for group, owner in zip(groups.tolist(), owners[:, 0].tolist()):
            uses = Counter(group)
            assert len(uses) == min(per_identity, available[owner])
            assert max(uses.values()) - min(uses.values()) <= 1
            visits[owner] += 1
    assert len(visits) == found  # every identity is met
    assert max(visits.values()) - min(visits.values()) <= 1 or len(sampler) * per_batch < 2 * found


def test_the_epoch_and_the_seed_decide():
    identities = np.repeat(np.arange(20), 6).tolist()

    def batches(seed, epoch):
        sampler = IdentitySampler(identities, 4, 3, seed)
        sampler.set_epoch(epoch)
        first = list(sampler)
        assert list(sampler) == first
        return first

    assert batches(0, 0) == batches(0, 0)
    assert len({str(batches(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_an_epoch_meets_the_images_of_even_identities_once():
    batches = list(IdentitySampler(np.repeat(np.arange(8), 12).tolist(), 4, 3))
    assert sorted(sum(batches, [])) == list(range(96))


@pytest.mark.parametrize("num_processes", [1, 2, 4])
def test_processes_share_the_same_global_batches(num_processes):
    identities = np.repeat(np.arange(9), 5).tolist()
    whole = IdentitySampler(identities, 8, 2, 5)
    parts = [
        IdentitySampler(identities, 8, 2, 5, rank=r, num_processes=num_processes)
        for r in range(num_processes)
    ]
    for sampler in (whole, *parts):
        sampler.set_epoch(3)
    assert {len(p) for p in parts} == {len(whole)}
    for batch, *shares in zip(whole, *parts, strict=True):
        assert sum(shares, []) == batch
        assert {len(share) for share in shares} == {16 // num_processes}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (dict(identities_per_batch=6), "6 identities cannot be made of the 5.*identities_per_batch"),
        (dict(images_per_identity=0), "at least 1"),
        (dict(identities_per_batch=0), "at least 1"),
        (dict(identities_per_batch=3, num_processes=2), "shared equally by 2"),
        (dict(identities_per_batch=4, num_processes=2, rank=2), "from 0 to 1"),
        (dict(identities=[]), "of the 0 in the training set"),
    ],
)
def test_what_cannot_be_sampled_is_told(options, sentence):
    with pytest.raises(MatlibError, match=sentence):
        IdentitySampler(**(dict(identities=[0, 0, 1, 2, 3, 4]) | options))
