"""Tables 1, 2 and 3 of the paper: each row as a change to the full model, beside the numbers that the paper prints.

The paper's numbers are on Occluded-Duke, in percent: rank-1, rank-5, rank-10, mAP.
"""

import math
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from matlib.config import LITERAL, METHOD, OPTION, ROBUST, RunConfig, by_field, differences, profile
from matlib.errors import MatlibError, did_you_mean


@dataclass(frozen=True)
class Row:
    """One row of a table: its name here, how the paper describes it, what it changes, what the paper measured."""

    name: str
    label: str
    paper: tuple[float, float, float, float]
    changes: dict[str, Any] = field(default_factory=dict)


TABLE_1 = (
    Row("baseline", "#1 baseline", (46.0, 65.7, 71.9, 38.8), {"model.architecture": "baseline"}),
    Row("no_transformer", "#2 no transformer", (63.3, 78.6, 83.3, 54.7),
        {"model.encoder_layers": 0, "model.decoder_layers": 0}),
    Row("encoder_only", "#3 encoder only", (65.9, 80.1, 85.2, 57.3), {"model.decoder_layers": 0}),
    Row("decoder_only", "#4 decoder only", (64.7, 79.8, 84.7, 56.9), {"model.encoder_layers": 0}),
    Row("full", "#5 full model", (66.2, 80.8, 85.6, 58.8)),
    Row("pretrained_keypoints", "#6 pre-trained keypoints", (64.2, 78.5, 83.6, 54.3),
        {"model.keypoints": "external", "data.joints": "noisy", "loss.equivariance": 0.0}),
)

TABLE_2 = (
    Row("parts_3", "K = 3", (64.4, 79.4, 84.1, 55.3), {"model.parts": 3}),
    Row("parts_6", "K = 6", (65.2, 79.7, 84.3, 56.2), {"model.parts": 6}),
    Row("full", "K = 10", (66.2, 80.8, 85.6, 58.8)),
    Row("parts_17", "K = 17", (65.0, 79.5, 84.2, 56.1), {"model.parts": 17}),
)

_UNKNOWN = (math.nan,) * 4
_GUARDS = ("separation", "concentration", "diversity", "entropy", "background", "foreground")
_NO_MOTION = {"loss.equivariance": 0.0, "loss.consistency": 0.0}
_IDENTITY_ONLY = _NO_MOTION | {f"loss.{name}": 0.0 for name in _GUARDS}

#: Rows that the paper does not have: what its motion losses are worth, and how much a method with parts could gain.
CONTROLS = (
    Row("identity_only", "#5, identity losses only", _UNKNOWN, _IDENTITY_ONLY),
    Row("guards_only", "#5 without motion losses", _UNKNOWN, _NO_MOTION),
    Row("robust", "#5 with guards", _UNKNOWN, ROBUST),
    Row("literal", "#5 as printed", _UNKNOWN, LITERAL),
    Row("literal_queries", "#5 as printed, queries to start from", _UNKNOWN,
        {**LITERAL, "model.decoder_target": "query"}),
    Row("no_transformer_identity", "#2, identity losses only", _UNKNOWN,
        {"model.encoder_layers": 0, "model.decoder_layers": 0, **_IDENTITY_ONLY}),
    Row("encoder_only_identity", "#3, identity losses only", _UNKNOWN, {"model.decoder_layers": 0, **_IDENTITY_ONLY}),
    Row("true_parts", "#1 pooled over true parts", _UNKNOWN, {"model.architecture": "true_parts"}),
)

def _true(name: str, label: str, **settings: Any) -> Row:
    stride = {"model.output_stride": settings.pop("stride")} if "stride" in settings else {}
    return Row(name, label, _UNKNOWN, {"model.architecture": "true_parts", **stride,
                                       **{f"{METHOD}{key}": value for key, value in settings.items()}})


#: The ceiling taken apart: its ingredients one after the other, and each left out or changed.
CEILING = (
    _true("true_person", "mean over the true person", cut="nothing"),
    _true("image_rows", "7 rows of the image", person=False, cut="rows"),
    _true("true_rows", "7 rows of the true person, compared where seen", cut="rows"),
    _true("true_rows_all", "7 rows of the true person, all compared", cut="rows", distance="all"),
    _true("true_parts_all", "true parts, all compared", distance="all"),
    _true("true_parts_encoded", "true parts of encoded cells", encoded=True),
    _true("mean_encoded", "mean of encoded cells", person=False, cut="nothing", encoded=True),
    _true("true_parts_fine", "true parts, cells of 4 pixels", stride=4),
    _true("mean_fine", "mean of cells of 4 pixels", person=False, cut="nothing", stride=4),
    _true("image_rows_fine", "7 rows of the image, cells of 4 pixels", person=False, cut="rows", stride=4),
)

_SIX = {"model.parts": 6}
_IN_ROWS = _SIX | {"model.windows": "rows"}
_OF_TRUNK = {"model.part_source": "backbone", "model.global_source": "backbone"}
_OF_PERSON = _OF_TRUNK | {"model.global_pool": "foreground"}

#: What can be had of it without labels, a step a row: identity losses only.
FOUND = tuple(Row(name, label, _UNKNOWN, _IDENTITY_ONLY | changes) for name, label, changes in (
    ("six", "identity losses only, K = 6", _SIX),
    ("in_rows", "its parts in windows around rows", _IN_ROWS),
    ("in_rows_of_trunk", "and features of the trunk", _IN_ROWS | _OF_TRUNK),
    ("in_rows_of_person", "and the global one over the foreground", _IN_ROWS | _OF_PERSON),
    ("in_rows_floor", "and pooled with a floor", _IN_ROWS | _OF_PERSON | {"model.pool_floor": 0.5}),
))

_FINE = {"model.output_stride": 4}

#: The best found without labels, cells of half the size, beside controls that have the same cells.
BEYOND = (
    Row("beyond", "beyond the paper: rows, cells of 4 pixels", _UNKNOWN,
        _IDENTITY_ONLY | _IN_ROWS | _OF_PERSON | {"model.pool_floor": 0.5, "model.window": 2.0} | _FINE),
    Row("identity_fine", "#5, identity losses only, cells of 4 pixels", _UNKNOWN, _IDENTITY_ONLY | _FINE),
    Row("stripes_fine", "PCB, cells of 4 pixels", _UNKNOWN, {"model.architecture": "matlib.baselines.pcb:PCB"} | _FINE),
    Row("joints_fine", "PVPM, cells of 4 pixels, noisy joints", _UNKNOWN,
        {"model.architecture": "matlib.baselines.pvpm:PVPM", "data.joints": "noisy"} | _FINE),
)

#: Does motion pay where it moves what is pooled? Parts in windows around keypoints, features of the trunk: with the
#: motion losses and without, the trunk out of their reach or not; each loss alone; what else could have decided it; and
#: what keypoints would be worth there that nobody has to find. All have the same guards.
_FOLLOWING = _SIX | _OF_PERSON | {"model.windows": "keypoints", "model.window": 1.5, "model.pool_floor": 0.5}
_DETACHED = {"model.detach_trunk": True}
_GIVEN = tuple((joints, words, {**_NO_MOTION, "model.keypoints": "external", "data.joints": joints})
               for joints, words in (("noisy", "a detector's"), ("truth", "true")))
FOLLOWING = tuple(Row(name, label, _UNKNOWN, _FOLLOWING | changes) for name, label, changes in (
    ("following", "parts around keypoints, trunk detached, no motion losses",
     {**_DETACHED, **_NO_MOTION}),
    ("following_motion", "parts around keypoints, trunk detached, motion", _DETACHED),
    ("following_equivariance", "parts around keypoints, trunk detached, equivariance alone",
     {**_DETACHED, "loss.consistency": 0.0}),
    ("following_consistency", "parts around keypoints, trunk detached, consistency alone",
     {**_DETACHED, "loss.equivariance": 0.0}),
    ("following_motion_kept", "parts around keypoints, trunk detached, motion, batch norm of unbent images",
     {**_DETACHED, "loss.eq_statistics": "kept"}),
    ("following_unclipped", "parts around keypoints, trunk detached, no motion losses, gradient not clipped",
     {**_DETACHED, **_NO_MOTION, "train.clip": 0.0}),
    ("following_unclipped_motion", "parts around keypoints, trunk detached, motion, gradient not clipped",
     {**_DETACHED, "train.clip": 0.0}),
    ("following_motion_best", "parts around keypoints, trunk detached, motion of the trunk's features, best pairs",
     {**_DETACHED, "loss.fc_source": "backbone", "loss.fc_pairs": "best", "loss.fc_norm": "channel"}),
    ("following_shared", "parts around keypoints, no motion losses", _NO_MOTION),
    ("following_shared_motion", "parts around keypoints, motion", {}),
    ("following_fine", "parts around keypoints, trunk detached, cells of 4 pixels, no motion losses",
     {**_DETACHED, **_NO_MOTION, **_FINE, "model.window": 3.0}),
    ("following_fine_motion", "parts around keypoints, trunk detached, cells of 4 pixels, motion",
     {**_DETACHED, **_FINE, "model.window": 3.0}),
    *((f"following_{joints}", f"parts around {words} joints, trunk detached, no motion losses", {**_DETACHED, **given})
      for joints, words, given in _GIVEN),
))

#: The same where the windows bound the parts, and what is hidden is not compared: there true joints are worth more than
#: keypoints that nothing teaches.
_LOCATED = _FOLLOWING | _DETACHED | {"model.outside": "background", "model.window": 1.0, "model.visibility": "max"}
LOCATED = tuple(Row(name, label, _UNKNOWN, _LOCATED | changes) for name, label, changes in (
    ("located", "parts bounded by keypoints, seen ones compared, no motion losses", _NO_MOTION),
    ("located_motion", "parts bounded by keypoints, seen ones compared, motion", {}),
    *((f"located_{joints}", f"parts bounded by {words} joints, seen ones compared, no motion losses", given)
      for joints, words, given in _GIVEN),
))


def _method(name: str, label: str, where: str, rank1: float = math.nan, mAP: float = math.nan,
            joints: str | None = None) -> Row:
    changes = {"model.architecture": f"matlib.baselines.{where}"} | ({"data.joints": joints} if joints else {})
    return Row(name, label, (rank1, math.nan, math.nan, mAP), changes)


#: The compared methods. Those that take a person's joints have them as a detector finds them.
TABLE_3 = (
    _method("sfr", "SFR", "sfr:SFR", 42.3, 32.0),
    _method("fpr", "FPR", "fpr:FPR"),
    _method("pcb", "PCB", "pcb:PCB", 42.6, 33.7),
    _method("amc_swm", "after AMC+SWM", "amc_swm:AMCSWM"),
    _method("pvpm", "PVPM", "pvpm:PVPM", 47.0, 37.7, joints="noisy"),
    _method("pgfa", "PGFA", "pgfa:PGFA", 51.4, 37.3, joints="noisy"),
    _method("vpm", "VPM", "vpm:VPM"),
    _method("horeid", "HOReID", "horeid:HOReID", 55.1, 43.8, joints="noisy"),
    _method("isp", "ISP", "isp:ISP", 62.8, 52.3),
    _method("pat", "PAT", "pat:PAT", 64.5, 53.6),
)

#: What belongs beside them: HOReID's first half alone, and the methods with joints that no detector gives.
BESIDE_3 = (
    _method("oonet", "OONet", "oonet:OONet", joints="noisy"),
    *(replace(row, name=f"{row.name}_truth", label=f"{row.label}, true joints",
              changes=row.changes | {"data.joints": "truth"})
      for row in TABLE_3 if "data.joints" in row.changes),
)

#: The same with the keypoints of a trained MAT for joints: an experiment, which needs the file that
#: ``matlib.data.joints.from_run`` writes.
OWN_JOINTS = tuple(replace(row, name=f"{row.name}_own", label=f"{row.label}, MAT's keypoints",
                           changes=row.changes | {"data.joints": "cache"})
                   for row in TABLE_3 if "data.joints" in row.changes)

#: "full" is in two tables; Table 1 names it.
ROWS = {row.name: row
        for row in (*TABLE_2, *CONTROLS, *CEILING, *FOUND, *BEYOND, *FOLLOWING, *LOCATED, *TABLE_3, *BESIDE_3,
                    *OWN_JOINTS, *TABLE_1)}


def row_config(row: str, profile_name: str, seed: int = 0, changes: dict[str, Any] | None = None) -> RunConfig:
    """The configuration of a table's row under a profile.

    A method of one's own is a row of its own, named by where it is: ``my_module:MyMethod``. With ``recipe`` among the
    changes set to ``published``, the method's own sizes, batch and schedule take the place of the profile's.

    Raises MatlibError for an unknown row or profile, and for a method that publishes no recipe.
    """
    if row not in ROWS and ":" not in row:
        raise MatlibError(f"there is no row {row!r}; rows are {', '.join(ROWS)}, "
                          f"or a method of your own as module:Class{did_you_mean(row, ROWS)}")
    own = ROWS[row].changes if row in ROWS else {"model.architecture": row}
    changes = by_field(changes or {}, own.get("model.architecture", "mat"))
    if changes.get("recipe") == "published":
        own = own | _published(own.get("model.architecture", "mat"))
    return profile(profile_name).change({"name": row, "seed": seed, **own, **changes})


def _published(architecture: str) -> dict[str, Any]:
    from matlib.models import method_class  # planning a build, which needs no torch, does not come here

    method = method_class(architecture)
    if not method.published:
        raise MatlibError(f"{method.__name__} has no recipe of its own: leave recipe=same_roof, and choose a "
                          "profile (the paper profile is MAT's as published)")
    return method.published


#: Settings in which a run may differ from its row: tables keep such runs apart, or they are no part of the method.
_FREE = ("data.dataset", "train.epochs", "train.mixed_precision", "train.compile", "train.channels_last")


def changed_settings(config: RunConfig, row: str = "full") -> dict[str, Any]:
    """The settings of the method in which a run differs from a row under its profile, with the run's values.

    Those that nothing reads in such a run make no difference (``idle_settings``).

    Raises MatlibError for an unknown row, or a profile that this version does not know.
    """
    ignored = {"name", "recipe", "seed", *_FREE, *idle_settings(config)}
    changed = differences(config, _plain(row, config.profile, config.recipe))
    return {name: config.flat[name] for name in changed if name not in ignored and not name.startswith(OPTION)}


@cache  # a page of records asks for the same few, thousands of times
def _plain(row: str, profile_name: str, recipe: str) -> RunConfig:
    return row_config(row, profile_name, changes={"recipe": recipe})


def idle_settings(config: RunConfig) -> set[str]:
    """Dotted names of the settings that nothing reads in such a run, as its method says."""
    from matlib.models import method_class  # planning a build, which needs no torch, does not come here

    names = {name for name in config.flat if name.startswith(("model.", "loss.", "data.joints"))}
    try:
        return names - method_class(config.model.architecture).reads(config)
    except MatlibError:  # a method of somebody's own whose file is not at hand: its records are read all the same
        return set()


def run_title(config: RunConfig) -> str:
    """The row that a run is of and, where it is not quite that row, what it changes: ``full, loss.fc_on=parts``.

    Raises MatlibError for a profile that this version does not know.
    """
    if config.name not in ROWS and ":" not in config.name:
        return config.name
    changes = changed_settings(config, config.name)
    recipe = [] if config.recipe == "same_roof" else [f"recipe={config.recipe}"]
    return ", ".join([config.name, *recipe, *(f"{name}={value}" for name, value in changes.items())])
