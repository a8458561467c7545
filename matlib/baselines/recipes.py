"""What the published recipes have in common: a method's ``published`` is one of these and what it does otherwise."""

from typing import Any

#: The trunk of all but ISP and FPR: ImageNet's ResNet-50, its last stride taken off.
RESNET_50: dict[str, Any] = {"model.trunk": "resnet50", "model.trunk_cut": "", "model.output_stride": 16,
                             "model.weights": "imagenet"}

_STEPS = {"train.schedule": "step", "train.gamma": 0.1, "train.warmup_epochs": 0, "train.clip": 0.0}
_HIGH = {"data.height": 384, "data.width": 128, "data.flip": 0.5, "data.pad": 0, "data.erasing": 0.0}
_ADAM = {"train.optimizer": "adamw", "train.head_lr": 1.0, "train.weight_decay": 5e-4}

#: Images as PAT and the methods after the strong baseline (Luo et al. 2019) see them.
AUGMENTED = {"data.height": 256, "data.width": 128, "data.flip": 0.5, "data.pad": 10, "data.erasing": 0.5,
             "train.identities_per_batch": 16, "train.images_per_identity": 4}

#: After PCB's program: high images, stochastic gradient descent, new layers ten times as fast, no smoothing.
AFTER_PCB = RESNET_50 | _HIGH | _STEPS | {
    "model.width": 256, "loss.label_smoothing": 0.0, "train.epochs": 60, "train.identities_per_batch": 16,
    "train.optimizer": "sgd", "train.lr": 0.01, "train.head_lr": 10.0, "train.momentum": 0.9,
    "train.weight_decay": 5e-4, "train.step_epochs": 40}

#: After the strong baseline: a BNNeck, smoothing, Adam for 120 epochs.
AFTER_STRONG_BASELINE = RESNET_50 | AUGMENTED | _STEPS | _ADAM | {
    "model.neck": "bnneck", "loss.label_smoothing": 0.1, "loss.triplet_distance": "euclidean", "train.epochs": 120,
    "train.lr": 3.5e-4, "train.step_epochs": 40, "train.warmup_epochs": 10}

#: What SFR and FPR share: high images and Adam.
RECONSTRUCTION = RESNET_50 | _HIGH | _STEPS | _ADAM | {
    "model.method.reduce": False, "loss.triplet_distance": "euclidean", "train.images_per_identity": 4}
