"""Every setting of a run, in one tree of dataclasses, and the profiles that fill it in.

The names and defaults follow the paper's section 4.2 where it speaks; where it is silent or can be read in several
ways, the field is an option: its readings are the members of its ``Literal`` type, the first one is the default. The
type of a number says its range.
A run is changed by dotted names, on the command line (``--set model.parts=6``) as in Python::

    config = profile("laptop").change({"model.parts": 6, "train.epochs": 20})
"""

import dataclasses
import functools
import json
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from matlib.errors import MatlibError, did_you_mean

OPTION = "data.options."
METHOD = "model.method."
_NO_RESULT = ("data.root", "data.workers", "data.cache", OPTION + "duke")  # where the data lies, and how it is read


@dataclass(frozen=True)
class Range:
    """The values that a number may have. NaN is in none."""

    low: int | float = 0
    high: int | float = 1_000_000
    above: bool = False  # the lowest value itself is out
    below: bool = False  # the highest value itself is out

    def __contains__(self, value: int | float) -> bool:
        return self.low <= value <= self.high and not (self.above and value == self.low
                                                       or self.below and value == self.high)

    def __str__(self) -> str:
        return (f"{'above' if self.above else 'at least'} {self.low} and "
                f"{'below' if self.below else 'at most'} {self.high}")


Count = Annotated[int, Range(1)]
Natural = Annotated[int, Range()]
Weight = Annotated[float, Range()]
Positive = Annotated[float, Range(above=True)]
Share = Annotated[float, Range(high=1)]
ShareBelowOne = Annotated[float, Range(high=1, below=True)]


@dataclass(frozen=True)
class MethodConfig:
    """What every method has: a trunk, a neck, and settings of its own (``matlib.models.Method.Settings``)."""

    architecture: str = "mat"  # or baseline, true_parts (needs a rendered set), or any method as module:Class
    trunk: str = "resnet50"  # any torchvision classification network
    trunk_cut: str = ""  # name of the node whose output is F; "" is the last feature map
    output_stride: Count = 16  # image pixels per cell of F; the last strides of the trunk are set to 1 to reach it
    weights: str = "imagenet"  # "imagenet", "none" (from scratch), or the path of a state dict
    neck: Literal["bnneck", "none"] = "bnneck"
    descriptor: Literal["after", "before"] = "after"  # the neck
    method: dict[str, Any] = field(default_factory=dict, hash=False)  # settings of the method's own: its ``Settings``


@dataclass(frozen=True)
class ModelConfig(MethodConfig):
    """MAT's own settings, the network of sections 3.1-3.4 (Figure 2); methods that share ideas with it read some.

    Of a row whose method is MAT, commands take ``model.method.parts`` for ``model.parts`` (``by_field``).
    """

    width: Count = 256  # D', channels of the transformer (not in the paper; DETR's)
    heads: Count = 8
    feedforward: Count = 2048
    dropout: Share = 0.1
    encoder_layers: Natural = 6
    decoder_layers: Natural = 1
    parts: Count = 10  # K
    pos_embed: Literal["add_qk", "add_input", "concat"] = "add_qk"
    attention: Literal["multihead", "plain"] = "multihead"  # plain: Equation 1 to the letter, no projections
    norm_first: bool = True
    queries: Literal["shared", "separate"] = "shared"
    decoder_target: Literal["query", "zero"] = "query"
    map_activation: Literal["softmax", "sigmoid"] = "softmax"
    embed_sigmoid: bool = False  # the sigmoid of section 3.2 on the embeddings themselves
    map_scale: Literal["fixed", "learned"] = "fixed"  # of the product of features and embeddings; fixed: D'^-1/2
    temperature: Positive = 0.1  # of the keypoint heatmaps' spatial softmax
    keypoints: Literal["self", "external"] = "self"  # external: Table 1, row 6
    jacobian: Literal["map", "query", "none"] = "map"
    jacobian_bound: Literal["none", "tanh"] = "none"  # tanh: no Jacobian goes so far from the identity that it mirrors
    external_jacobian: Literal["identity", "limb", "lstsq"] = "identity"  # of external keypoints
    part_pool: Literal["wavg", "gap"] = "wavg"
    pool_floor: Weight = 0.0  # cells that are added to a part's mass: a part that hardly shows shrinks
    part_source: Literal["encoder", "backbone"] = "encoder"
    global_source: Literal["encoder", "backbone"] = "encoder"
    global_pool: Literal["all", "foreground"] = "all"  # the cells whose mean it is; foreground: as far as no background
    windows: Literal["none", "keypoints", "rows"] = "none"  # of the part maps: around what a part has its cells
    window: Positive = 1.0  # its standard deviation in cells
    outside: Literal["parts", "background"] = "parts"  # whose the cells are that lie far from all windows
    detach_trunk: bool = False  # what the transformer learns from does not reach the trunk
    teacher_decay: ShareBelowOne = 0.0  # of an average of the weights, which the motion losses aim at; 0: at themselves
    part_head: Literal["concat", "per_part"] = "concat"
    visibility: Literal["off", "max", "argmax"] = "off"  # of a part: what weighs its distance at test time


_OF_MAT = {own.name for own in dataclasses.fields(ModelConfig)} - {own.name for own in dataclasses.fields(MethodConfig)}


@dataclass(frozen=True)
class LossConfig:
    """The objective of section 3.5: the weights of Equation 9, the readings of its terms, and guards it lacks."""

    identity_global: Weight = 1.0  # lambda 1
    triplet_global: Weight = 1.0  # lambda 2
    identity_part: Weight = 1.0  # lambda 3
    triplet_part: Weight = 1.0  # lambda 4
    equivariance: Weight = 10.0  # lambda 5
    consistency: Weight = 5.0  # lambda 6
    motion_warmup_epochs: Natural = 0  # lambda 5 and 6 rise linearly from 0 over so many epochs
    label_smoothing: ShareBelowOne = 0.0
    triplet_distance: Literal["euclidean", "sqeuclidean"] = "euclidean"
    fc_on: Literal["features", "parts"] = "features"
    fc_source: Literal["encoder", "backbone"] = "encoder"  # the features that are compared
    fc_norm: Literal["spatial", "channel"] = "spatial"
    fc_pairs: Literal["reference", "all", "nearest", "best"] = "reference"
    fc_detach: Literal["features", "reference", "none"] = "features"
    fc_padding: Literal["zeros", "border"] = "zeros"  # what the warp reads outside of the map
    anchor: Literal["keypoint", "centroid"] = "keypoint"
    eq_images: Literal["all", "one_per_id"] = "all"
    eq_mirror: Literal["none", "same", "pairs"] = "none"  # of half of the images: each part is found again, or its twin
    eq_statistics: Literal["renewed", "kept"] = "renewed"  # batch norm's, by the bent images
    rf_registration: bool = True  # warp images in the frame of the feature map's cells, not of the image's corners
    tps_metric: Literal["l1", "euclidean"] = "l1"
    tps_points: Annotated[int, Range(2)] = 5
    sigma_affine: Weight = 0.05
    sigma_tps: Weight = 0.005
    separation: Weight = 0.0  # guards against collapse; none is in the paper
    concentration: Weight = 0.0
    diversity: Weight = 0.0
    entropy: Weight = 0.0
    background: Weight = 0.0
    foreground: Weight = 0.0


@dataclass(frozen=True)
class DataConfig:
    """Section 4.1, and the augmentation of section 4.2 (its amounts are those of the strong baseline of Luo et al.)."""

    dataset: str = "occluded_duke"
    root: str = "data"
    options: dict[str, Any] = field(default_factory=dict)  # disputed readings of the set, for matlib.data.load_dataset
    height: Count = 256
    width: Count = 128
    flip: Share = 0.5
    pad: Natural = 10
    erasing: Share = 0.5
    erase_with: Literal["mean", "image"] = "mean"  # what the erased rectangle shows; image: a patch of another person
    crop: Share = 0.0  # of the images that are cut to a part of the person
    colour: Share = 0.0  # how far brightness, contrast and saturation are shifted
    joints: Literal["truth", "noisy", "cache"] = "truth"  # of external keypoints: matlib/data/joints/sources.py
    workers: Natural = 4
    cache: bool = False  # keep the decoded training images in memory


@dataclass(frozen=True)
class TrainConfig:
    """Section 4.2."""

    epochs: Count = 100
    identities_per_batch: Count = 16
    images_per_identity: Count = 4
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.01
    head_lr: Positive = 1.0  # factor on lr for the identity heads: short schedules want their classifiers faster
    momentum: ShareBelowOne = 0.9
    weight_decay: Weight = 1e-4
    schedule: Literal["step", "onecycle"] = "step"
    step_epochs: Count = 30
    gamma: Annotated[float, Range(high=1, above=True)] = 0.1
    warmup_epochs: Natural = 10  # not in the paper; linear from lr / 10
    clip: Weight = 5.0  # gradient norm; not in the paper; 0 is none
    mixed_precision: Literal["no", "bf16", "fp16"] = "no"
    channels_last: bool = True  # memory format of the convolutions; off, a laptop step takes 1.2 times the CPU time
    compile: Literal["no", "inductor", "eager"] = "no"  # torch.compile; inductor: minutes to start, slower on CPUs


@dataclass(frozen=True)
class RunConfig:
    """One training run: all that its result depends on, save the hardware."""

    name: str = "full"  # what the tables call it
    profile: str = "paper"
    seed: Annotated[int, Range(high=2**32 - 1)] = 0
    recipe: Literal["same_roof", "published"] = "same_roof"  # sizes, batch and schedule: the profile's or the method's
    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_options(self)
        for name in ("model", "loss", "data", "train"):
            _check_options(getattr(self, name))
            _check_ranges(getattr(self, name), f"{name}.")
        _check_values(self)

    def change(self, changes: dict[str, Any]) -> "RunConfig":
        """The same configuration with some fields replaced, by dotted name: ``{"model.parts": 6, "seed": 1}``.

        Values may be strings, as a command line gives them. Options of the data set and settings of the method's own
        are one level deeper, ``data.options.query`` and ``model.method.stripes``; set and method themselves say which
        they have, when they are loaded. Raises MatlibError for an unknown name or a value that does not fit the field.
        """
        sections: dict[str, dict[str, Any]] = {}
        top: dict[str, Any] = {}
        for name, value in changes.items():
            if prefix := next((prefix for prefix in (OPTION, METHOD) if name.startswith(prefix)), None):
                section, key, _ = prefix.split(".")
                own = sections.setdefault(section, {}).setdefault(key, dict(getattr(getattr(self, section), key)))
                own[name.removeprefix(prefix)] = read_value(value)
                continue
            section, _, key = name.rpartition(".")
            if section and not dataclasses.is_dataclass(getattr(self, section, None)):
                raise _unknown(name)
            owner = getattr(self, section) if section else self
            (sections.setdefault(section, {}) if section else top)[key] = _convert(owner, key, value, name)
        replaced = {s: dataclasses.replace(getattr(self, s), **values) for s, values in sections.items()}
        return dataclasses.replace(self, **top, **replaced)

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @functools.cached_property  # pages of records ask for it thousands of times
    def flat(self) -> dict[str, Any]:
        """All settings by dotted name; not to be changed."""
        return dict(flatten(self.to_dict()))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "RunConfig":
        """The inverse of ``to_dict``; raises MatlibError for a name this version does not know."""
        return cls().change(dict(flatten(values)))


def differences(one: RunConfig, other: RunConfig) -> list[str]:
    """Dotted names of the settings in which two configurations differ, without those that change no result."""
    a, b = one.flat, other.flat
    unset = object()  # an option of the data set that one of them does not name
    return [name for name in {**a, **b} if a.get(name, unset) != b.get(name, unset) and name not in _NO_RESULT]


def read_settings(kind: type, values: dict[str, Any]) -> Any:
    """A method's own settings, as its dataclass. Raises MatlibError for one that it lacks, or that does not fit."""
    default = _defaults(kind)
    known = [own.name for own in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            near = did_you_mean(name, [*(METHOD + own for own in known), *_setting_names()])
            others = f"; it has {', '.join(known)}" if known else "" if near else "; it has none"
            raise MatlibError(f"this method has no setting {METHOD}{name}{others}{near}")
    settings = kind(**{name: _convert(default, name, _as_written(default, name, value), METHOD + name)
                       for name, value in values.items()})
    _check_options(settings)
    _check_ranges(settings, METHOD)
    return settings


def _defaults(kind: type) -> Any:
    """A method's settings as they are without any change. Raises MatlibError for a class that cannot hold settings."""
    title = getattr(kind, "__qualname__", repr(kind))
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise MatlibError(f"{title} is no dataclass: write @dataclass(frozen=True) above it")
    own = {field.name: _types(kind)[field.name] for field in dataclasses.fields(kind)}
    for name, of in own.items():
        if of not in (bool, int, float, str) and get_origin(of) is not Literal:
            raise MatlibError(f"{title}.{name}, a setting, is of type {getattr(of, '__name__', of)}: it can be bool, "
                              "int, float, str, or a Literal of its values")
    if missing := [each.name for each in dataclasses.fields(kind) if each.default is each.default_factory]:
        raise MatlibError(f"{title} gives no default for {', '.join(missing)}: each setting needs one")
    default = kind()
    for name in own:
        _convert(default, name, getattr(default, name), f"{title}.{name}")
    return default


def _as_written(default: Any, name: str, value: Any) -> Any:
    """What ``read_value`` took for a number, true, false or none, as a word again where the setting is one."""
    kind = _types(type(default)).get(name)
    word = "none" if value is None else json.dumps(value) if isinstance(value, bool | int | float) else value
    wanted = kind is str or get_origin(kind) is Literal and value not in get_args(kind) and word in get_args(kind)
    return word if wanted else value


def read_pairs(words: Iterable[str], example: str) -> dict[str, str]:
    """``["model.parts=6", "seed=1"]`` by name. Raises MatlibError for one without a ``=``, or with two values."""
    pairs: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise MatlibError(f"--set takes NAME=VALUE, as {example}; got {word!r}")
        if pairs.get(name, value) != value:
            raise MatlibError(f"--set gives {name} twice, as {pairs[name]} and {value}; leave one")
        pairs[name] = value
    return pairs


def read_value(value: Any) -> Any:
    """What a word of a command line means: the number, true, false or none that it spells, or the word itself."""
    words = {"true": True, "false": False, "none": None}
    if not isinstance(value, str) or value.lower() in words:
        return words[value.lower()] if isinstance(value, str) else value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):  # of JSON, or of a number of too many digits
        return value


def flatten(values: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The settings of a tree by dotted name, as ``RunConfig.change`` takes them."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def by_field(changes: dict[str, Any], architecture: str) -> dict[str, Any]:
    """Changes of a row with MAT's own settings, where it is the method, by the names that they have in the tree.

    Raises MatlibError for a setting that is given by both of its names.
    """
    if changes.get("model.architecture", architecture) != "mat":
        return changes
    resolved: dict[str, Any] = {}
    for name, value in changes.items():
        own = name.startswith(METHOD) and name.removeprefix(METHOD) in _OF_MAT
        known = name.replace(METHOD, "model.") if own else name
        if known in resolved:
            raise MatlibError(f"{known} is given twice, also as {known.replace('model.', METHOD)}; leave one")
        resolved[known] = value
    return resolved


def _setting_names() -> list[str]:
    return list(RunConfig().flat)


def _unknown(name: str) -> MatlibError:
    near = did_you_mean(name, _setting_names()) or "; see matlib/config.py for the names"
    return MatlibError(f"there is no setting {name!r}{near}")


@functools.cache  # a page of thousands of records would spend most of its time here
def _types(section: type, ranges: bool = False) -> dict[str, Any]:
    """The types of a section's fields, with the ranges of numbers if wanted."""
    return get_type_hints(section, include_extras=ranges)


def _convert(owner: Any, key: str, value: Any, name: str) -> Any:
    """The value in the field's own type, or MatlibError."""
    hints = _types(type(owner))
    if key not in hints or dataclasses.is_dataclass(hints[key]):
        raise _unknown(name)
    kind = hints[key]
    value = value.item() if isinstance(getattr(value, "shape", None), tuple) and value.shape == () else value  # NumPy's
    if get_origin(kind) is Literal:
        return _check_option(name, kind, value)
    if kind is str and isinstance(value, str | os.PathLike):
        return os.fspath(value)
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            raise MatlibError(f"{name} is set one by one, as {name}.NAME=VALUE; got {value!r}")
        return dict(value)
    try:
        parsed = json.loads(value.lower()) if isinstance(value, str) else value
    except (ValueError, RecursionError):
        parsed = value
    if kind is bool and isinstance(parsed, bool):
        return parsed
    if kind in (int, float) and isinstance(parsed, (int, float)) and not isinstance(parsed, bool):
        if abs(parsed) <= sys.float_info.max and (kind is float or parsed == int(parsed)):
            return kind(parsed)
    raise MatlibError(f"{name} takes a value of type {kind.__name__}, not {value!r}")


def _check_option(name: str, kind: Any, value: Any) -> Any:
    if value not in get_args(kind):
        raise MatlibError(f"{name} is one of {', '.join(map(str, get_args(kind)))}; got {value!r}")
    return value


def _check_options(section: Any) -> None:
    for name, kind in _types(type(section)).items():
        if get_origin(kind) is Literal:
            _check_option(name, kind, getattr(section, name))


def _check_ranges(section: Any, prefix: str = "") -> None:
    for name, kind in _types(type(section), ranges=True).items():
        if get_origin(kind) is Annotated and getattr(section, name) not in kind.__metadata__[0]:
            raise MatlibError(f"{prefix}{name} is {kind.__metadata__[0]}; got {getattr(section, name)}")


def _check_values(config: RunConfig) -> None:
    """What settings ask of each other."""
    model, loss, train, data = config.model, config.loss, config.train, config.data
    if model.width % model.heads or model.width % 4:
        raise MatlibError(f"model.width ({model.width}) is to be a multiple of 4 and of model.heads ({model.heads})")
    if min(data.height, data.width) < 2 * model.output_stride:
        raise MatlibError(f"data.height and data.width ({data.height}, {data.width}) are to be at least twice "
                          f"model.output_stride ({model.output_stride}): the feature map needs 2 by 2 cells")
    if train.images_per_identity < 2 or train.identities_per_batch < 2:
        raise MatlibError("a batch needs at least 2 identities of at least 2 images each: "
                          "the triplet loss compares them")
    if loss.fc_pairs == "best" and (loss.fc_on, loss.fc_norm) == ("features", "spatial"):
        raise MatlibError("loss.fc_pairs=best compares cell by cell: set loss.fc_norm=channel or loss.fc_on=parts with "
                          "it")
    if model.parts < 2 and (loss.separation or loss.diversity):
        raise MatlibError("loss.separation and loss.diversity compare parts; set both to 0, or model.parts to 2 or "
                          "more")


#: What makes keypoints and parts follow the body; the book's chapter of trials has how the last of it was found, the
#: consistency's weight and pairs. Guards in the objective, which Equation 9 lacks; broad heatmaps that let gradients
#: through; splines that move the image enough to tell a keypoint that follows from one that stays; and a feature
#: consistency that counts: equivariance alone is content with keypoints that follow the picture, and a mean over
#: channels leaves of lambda 6 a D'-th of the sum.
ROBUST: dict[str, Any] = {
    "loss.separation": 1.0, "loss.background": 0.5, "loss.foreground": 0.5,
    "loss.consistency": 80.0, "loss.fc_pairs": "all",
    "model.temperature": 1.0, "loss.sigma_affine": 0.2, "loss.sigma_tps": 0.01,
}

#: The paper as printed: all literal readings that ``matlib.report.options`` knows, but for sizes: these are the
#: profile's. Where the print is silent, on what the decoder starts from, DETR's zeros, as is usual in such a decoder.
LITERAL: dict[str, Any] = {
    "model.pos_embed": "concat", "model.attention": "plain", "model.embed_sigmoid": True,
    "model.decoder_target": "zero", "model.neck": "none", "model.temperature": 0.1,
    "loss.triplet_distance": "sqeuclidean", "loss.anchor": "centroid", "loss.fc_detach": "none",
    "loss.consistency": 5.0, "loss.fc_pairs": "reference", "loss.sigma_affine": 0.05, "loss.sigma_tps": 0.005,
    "loss.tps_metric": "euclidean", "loss.rf_registration": False, "loss.eq_images": "all",
    "loss.separation": 0.0, "loss.background": 0.0, "loss.foreground": 0.0,
}


def _laptop() -> RunConfig:
    """Two CPU cores: a light ImageNet trunk that comes with matlib, cut early, on small images.

    With so few steps Equation 9 alone collapses: the keypoints meet in one point and the background takes every cell.
    """
    return RunConfig(
        profile="laptop",
        model=ModelConfig(trunk="mobilenet_v2", trunk_cut="features.13", output_stride=8, width=128, heads=4,
                          feedforward=256, dropout=0.0, encoder_layers=2),
        loss=LossConfig(eq_images="one_per_id"),
        data=DataConfig(dataset="annyville-occluded", height=96, width=48, pad=4, workers=0, cache=True),
        train=TrainConfig(epochs=8, optimizer="adamw", lr=1.5e-3, head_lr=4.0, schedule="onecycle", warmup_epochs=0,
                          identities_per_batch=8),
    ).change(ROBUST)


def _town() -> RunConfig:
    """The laptop's network on a town of 500 training people: ten minutes a run on one core, and seeds that agree."""
    return _laptop().change({"profile": "town", "train.epochs": 4, "data.root": "data/large"})


def _smoke() -> RunConfig:
    """The whole path in seconds, for tests: its numbers mean nothing."""
    return _laptop().change({
        "profile": "smoke", "model.trunk_cut": "features.6", "model.width": 32, "model.feedforward": 64,
        "model.encoder_layers": 1, "model.parts": 3,
        "data.height": 64, "data.width": 32, "data.pad": 2,
        "train.epochs": 2, "train.identities_per_batch": 4, "train.images_per_identity": 2})


_PROFILES = {"paper": RunConfig, "town": _town, "laptop": _laptop, "smoke": _smoke}


def profile_names() -> list[str]:
    """The profiles: ``paper`` (section 4.2), ``town`` and ``laptop`` (two CPU cores), ``smoke`` (tests)."""
    return list(_PROFILES)


def profile(name: str) -> RunConfig:
    """The full model under a named profile. Raises MatlibError for an unknown name."""
    if name not in _PROFILES:
        raise MatlibError(f"there is no profile {name!r}; profiles are {', '.join(_PROFILES)}"
                          f"{did_you_mean(name, _PROFILES)}")
    return _PROFILES[name]()
