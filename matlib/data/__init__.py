"""Readers of the data sets, the augmentation, and the identity sampler (section 4.1 of the paper)."""

from matlib.data.datasets import dataset_names, dataset_options, load_dataset, training_set
from matlib.data.fingerprints import fingerprint
from matlib.data.images import ImageDataset
from matlib.data.joints import joint_source
from matlib.data.sampler import IdentitySampler
from matlib.data.samples import ReIDDataset, Sample
from matlib.data.transforms import Augmentation
from matlib.data.truth import Truth

__all__ = [
    "Augmentation",
    "IdentitySampler",
    "ImageDataset",
    "ReIDDataset",
    "Sample",
    "Truth",
    "dataset_names",
    "dataset_options",
    "fingerprint",
    "joint_source",
    "load_dataset",
    "training_set",
]
