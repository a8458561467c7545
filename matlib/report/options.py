"""Where the paper can be read in several ways: each place a setting of ``matlib.config``, its default, and why.

Readings and defaults are those of the dataclasses; what stands here is the question and the reason.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from matlib.ablations import changed_settings
from matlib.config import DataConfig, LossConfig, ModelConfig, profile
from matlib.report.links import linked
from matlib.report.tables import (
    NOT_RUN, in_pairs, interval_note, paired_difference, scored_runs, training_chance, training_deviation)

_SECTIONS = {"model": ModelConfig, "loss": LossConfig, "data": DataConfig}


@dataclass(frozen=True)
class Option:
    """One ambiguity, a setting of ``matlib.config``.

    ``chapter`` is the page that explains it; ``literal`` the closest reading of the printed text, if any; ``others``
    are readings of settings that are numbers, whose type does not list them.
    """

    name: str
    chapter: str
    question: str
    reason: str
    literal: Any = None
    others: tuple[Any, ...] = ()

    @property
    def default(self) -> Any:
        section, key = self.name.split(".")
        return next(f.default for f in fields(_SECTIONS[section]) if f.name == key)

    @property
    def readings(self) -> tuple[Any, ...]:
        """All readings, the default first."""
        section, key = self.name.split(".")
        kind = get_type_hints(_SECTIONS[section])[key]
        if get_origin(kind) is Literal:
            return get_args(kind)
        return (self.default, not self.default) if kind is bool else (self.default, *self.others)


OPTIONS = (
    Option("model.pos_embed", "features", "Position embeddings are \"concatenated\": appended, or added, and where?",
           "sines added to queries and keys of every layer, as in DETR", "concat"),
    Option("model.attention", "features", "Equation 1 has no projections and no heads: shorthand, or meant?",
           "the text describes Vaswani's transformer; to the letter a cell mostly attends to its like", "plain"),
    Option("model.norm_first", "features", "Layer normalisation before or after each sub-layer?",
           "this order is known to need no warm-up, and the paper names none"),
    Option("model.encoder_layers", "features", "How many encoder layers?",
           "the paper says six; rows 2 and 4 of Table 1 have none", 6, (2, 0)),
    Option("model.decoder_layers", "features", "How many decoder layers?",
           "the paper says one; rows 2 and 3 of Table 1 have none", 1, (0,)),
    Option("model.output_stride", "features", "How many pixels a cell?",
           "a ResNet's own 32 leaves 8 x 4 cells, too few for ten parts; the laptop's small images have 8",
           None, (32,)),
    Option("model.width", "features", "D', the transformer's width?", "DETR's; the paper names no size", None, (512,)),
    Option("model.part_source", "features", "Which features are pooled for the parts?",
           "section 4.3 calls the encoder's output the global features", "encoder"),
    Option("model.queries", "keypoints", "Do keypoints and parts share their queries?",
           "Equations 5 to 7 need keypoint k to belong to part k"),
    Option("model.decoder_target", "keypoints", "What does the decoder start from?",
           "with one layer, zeros make all parts start equal"),
    Option("model.map_scale", "keypoints", "Is the product of features and embeddings scaled?",
           "as in attention, by the root of D'"),
    Option("model.embed_sigmoid", "keypoints", "\"MLP with a sigmoid function\": on the embedding?",
           "it flattens heatmaps and part maps", True),
    Option("model.temperature", "keypoints", "How sharp are the heatmaps?",
           "the first-order motion model's", None, (1.0, 0.03)),
    Option("model.jacobian", "keypoints", "Where do the Jacobians come from?", "as in the first-order motion model"),
    Option("model.jacobian_bound", "keypoints", "May a Jacobian be anything?",
           "as in the first-order motion model; bounded, none can mirror or flatten its part"),
    Option("model.keypoints", "keypoints", "Self-supervised keypoints, or somebody else's?",
           "row 6 of Table 1 is the other", "self"),
    Option("data.joints", "keypoints", "Which keypoints are somebody else's?",
           "the paper names no detector: the true ones, those with a detector's errors (row 6 on Annyville), or a file "
           "of detections (real sets)"),
    Option("model.external_jacobian", "keypoints", "Which Jacobians have somebody else's keypoints?",
           "a detector gives none; or from the length and direction of limbs, or fitted to three joints of a part or "
           "more, which of ten parts the head alone has"),
    Option("loss.tps_metric", "equivariance", "Which splines?",
           "the first-order motion model's, with which the weight of 10 was chosen; not a thin-plate spline proper",
           "euclidean"),
    Option("loss.sigma_affine", "equivariance", "How strong is the affine part?",
           "the first-order motion model's", None, (0.1,)),
    Option("loss.sigma_tps", "equivariance", "How strong are the bumps?",
           "the first-order motion model's; the euclidean kernel needs 2.5 times as much for the same amplitude",
           None, (0.0125,)),
    Option("loss.tps_points", "equivariance", "How many control points an axis?",
           "the first-order motion model's", None, (3,)),
    Option("loss.rf_registration", "equivariance", "Is the image bent in the frame of the feature map?",
           "otherwise a perfect detector keeps a loss", False),
    Option("loss.eq_images", "equivariance", "How many images of the batch are bent?",
           "all; one an identity is unbiased and cheaper", "all"),
    Option("loss.eq_mirror", "equivariance", "Are images mirrored, too, before they are bent?",
           "the splines alone; a part that is found again in a mirror follows the body, not the picture's side; so do "
           "parts in pairs, as left and right ones, of which each finds its twin", "none"),
    Option("loss.eq_statistics", "equivariance", "Do the bent images count for what batch norm knows at the test?",
           "they go through the network in training as others do"),
    Option("model.teacher_decay", "equivariance", "What do the motion losses aim at?",
           "the network itself; or, steadier, an average of its weights over the last steps", 0.0, (0.95,)),
    Option("loss.anchor", "motion", "\"Pixel location corresponding to the segmentation\": what is it?",
           "then Equation 5 is Equation 3; a centre of mass moves when a part is half hidden", "centroid"),
    Option("model.global_source", "features", "Which features make the global one?",
           "f_g is the encoder's output", "encoder"),
    Option("model.detach_trunk", "features", "Does what the transformer learns from reach the trunk?",
           "the paper trains all of it at once; what is compared has to come from the trunk then", False),
    Option("model.global_pool", "parts", "Is the global feature a mean over all cells, or over the person's?",
           "a mean over all", "all"),
    Option("model.windows", "parts", "May a part lie anywhere?",
           "the paper bounds it by nothing; near its keypoint, as Equation 5 suggests, or near a row, as stripes do",
           "none"),
    Option("model.window", "parts", "How wide are the windows, in cells?", "not in the paper", None, (1.5,)),
    Option("model.outside", "parts", "Whose are the cells that lie far from all windows?",
           "windows only share out what the background leaves; or they bound the parts, too"),
    Option("model.pool_floor", "parts", "Does a part of little mass count as much as a large one?",
           "a mean does not know how much it is of", 0.0, (0.5,)),
    Option("model.map_activation", "parts", "Do the part maps share each cell?",
           "a blend of motions needs shares that sum to 1"),
    Option("model.part_pool", "parts", "\"Weighted pooling\": divided by what?",
           "then a half hidden part keeps its size", "wavg"),
    Option("loss.fc_on", "parts", "What is compared, features or part maps?", "f is called image feature", "features"),
    Option("loss.fc_source", "parts", "Which features are compared?",
           "f_g is the encoder's output; the trunk's tell people apart where parts are pooled from them", "encoder"),
    Option("loss.fc_norm", "parts", "Features are no distributions: normalised over what?",
           "Equation 10 sums over z", "spatial"),
    Option("loss.fc_pairs", "parts", "Which images are A and B?",
           "Equation 12 has one reference; images from one side show the same; what hides one agrees with none",
           "reference"),
    Option("loss.fc_detach", "parts", "Who learns from the feature consistency?",
           "the paper calls it the loss for optimizing part segmentation; features could make themselves flat", "none"),
    Option("loss.fc_padding", "parts", "What does the warp read outside of the map?",
           "nothing, as in motion co-part segmentation; or the border again"),
    Option("model.neck", "objective", "A batch normalisation before the classifier?",
           "public re-identification code has it", "none"),
    Option("model.part_head", "objective", "One classifier on all parts, or one a part?",
           "Equation 16 has no index of a part; robust to hidden ones"),
    Option("loss.label_smoothing", "objective", "Smoothed labels?", "Equation 15 has none", 0.0, (0.1,)),
    Option("loss.triplet_distance", "objective", "Distances squared, as in Equation 17?",
           "public re-identification code has them plain; squares make a hinge of it", "sqeuclidean"),
    Option("loss.equivariance", "objective", "Lambda 5, on both terms of Equation 14?",
           "as in the first-order motion model", 10.0, (0.0,)),
    Option("loss.consistency", "objective", "Lambda 6, on a mean or a sum?",
           "on means; on the sum over the channels it would be D' times as much", 5.0, (0.0, 80.0)),
    Option("loss.motion_warmup_epochs", "objective", "Are the motion losses ramped in?",
           "the paper says nothing", 0, (3,)),
    *(Option(f"loss.{name}", "objective", question, "not in Equation 9", 0.0, (0.5,)) for name, question in (
        ("separation", "Are keypoints kept apart?"), ("concentration", "Are heatmaps kept narrow?"),
        ("diversity", "Are part features kept different?"), ("entropy", "Are part maps kept decided?"),
        ("background", "Is the border told to be background?"),
        ("foreground", "Is the centre told to be foreground?"))),
    Option("data.erase_with", "objective", "What shows where an image is erased?",
           "random erasing's mean; a patch of another image looks more like what hides people", "mean"),
    Option("data.crop", "objective", "Are training images cut to parts of a person?",
           "the paper names no such augmentation; partial queries are", 0.0, (0.5,)),
    Option("data.colour", "objective", "Are the colours of training images shifted?",
           "the paper names no such augmentation; photographs differ from rendered people in them", 0.0, (0.3,)),
    Option("model.descriptor", "objective", "Which feature is compared at test time, after the neck or before?",
           "after, as public re-identification code does"),
    Option("model.visibility", "objective", "Are hidden parts left out of the distance?",
           "the paper never mentions it; several compared methods do", "off"),
)


#: What no training reads: the runs of a seed are one network, tested twice, and its training is no chance.
AT_TEST = ("model.descriptor", "model.visibility")

#: Scores against the truth whose change an effect tells, as ``matlib.report.tables.SCORES`` names them.
EFFECT_SCORES = ("joints by side", "flow error", "NMI")


def effects(folders: Iterable[Path | str] | str | Path) -> pd.DataFrame:
    """What each reading was worth in the records: runs that differ from the full model of their profile in one option.

    An option that only matters, or is only allowed, with another one's reading, as ``data.joints`` with external
    keypoints, is measured against the run that has that reading alone, which its own ``reading`` says (``noisy, given
    keypoints = external``); one that no training reads (``AT_TEST``) on the same networks.

    One line an option, reading, profile, length of training and data (``trained``): ``mAP``, the difference of the mean
    over its ``seeds`` to that over all of the full model's, in points, with ``low`` and ``high``
    (``tables.paired_difference``); and the changes of ``EFFECT_SCORES``, NaN where they were not scored; ``note`` says
    what the intervals hold, and how far trainings that differ in their seed alone lie apart. Empty if there is none.
    """
    runs = scored_runs(folders)
    groups = runs[runs["profile"] != "smoke"].groupby(["profile", "epochs", "fingerprint"])
    lines = [line for _, group in groups for line in _group_effects(group)]
    return pd.DataFrame(lines, columns=["option", "reading", "trained", "seeds", "mAP", "low", "high", *EFFECT_SCORES,
                                        "note", "paths"])


def _group_effects(runs: pd.DataFrame) -> Iterator[dict[str, Any]]:
    names = {option.name for option in OPTIONS}
    changes = {name: changed_settings(of["config"].iloc[0]) for name, of in runs.groupby("name")}
    known = [{}, *changes.values()]
    between = training_deviation(runs, ["mAP", *EFFECT_SCORES])
    for name, changed in changes.items():
        option, rest = _measured_option(changed, known)
        against = next((other for other in ("full", *changes) if changes.get(other) == rest), None)
        ours, others = (runs[runs["name"] == which] for which in (name, against))
        if option not in names:
            continue
        if option in AT_TEST:
            found = paired_difference(ours, others[others["seed"].isin(ours["seed"])], None)
        else:
            found = paired_difference(ours, others, training_chance(runs, ["mAP"]))
        if found:
            difference, low, high, _ = found["mAP"]
            given = " and ".join(f"{other.rpartition('.')[2]} = {value}" for other, value in rest.items())
            yield {"option": option, "reading": f"{changed[option]}{given and ', given '}{given}",
                   "trained": _trained(ours.iloc[0]), "seeds": len(ours), "mAP": difference, "low": low, "high": high,
                   "note": interval_note(between), "paths": tuple(ours["path"])
                   } | {score: ours[score].mean() - others[score].mean() for score in EFFECT_SCORES}


def _trained(run: pd.Series) -> str:
    return f"{run['profile']}, {run['epochs']} epochs, {run['fingerprint'][:8]}"


def _measured_option(changed: dict[str, Any], known: Sequence[dict[str, Any]]) -> tuple[str | None, dict[str, Any]]:
    """The option whose worth a run tells that changes these settings, and the changes of the run to compare it to: one
    of the ``known`` runs that lacks this change alone and has at most two. None where there is no such run, or more
    than one."""
    found = [(name, rest) for name in changed if len(changed) <= 3
             and (rest := {other: value for other, value in changed.items() if other != name}) in known]
    return found[0] if len(found) == 1 else (None, {})


def effect_table(chapter: str, measured: pd.DataFrame) -> pd.DataFrame:
    """What ``effects`` measured of the readings of one chapter, a line a reading, in the order of ``OPTIONS``."""
    order = {option.name: place for place, option in enumerate(OPTIONS) if option.chapter == chapter}
    own = measured[measured["option"].isin(order)]
    own = own.sort_values("option", key=lambda names: names.map(order), kind="stable")
    lines = [{"mAP": in_pairs(row.mAP, row.low, row.high)}
             | {score: _signed(value) for score, value in zip(EFFECT_SCORES, row[8:])}
             | {"trained": row.trained, "n": linked(str(row.seeds), row.paths)} for row in own.itertuples()]
    return pd.DataFrame(lines, index=[f"{row.option} = {row.reading}" for row in own.itertuples()], dtype=object)


def by_severity(measured: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The changes of mAP that ``effects`` measured, the worst first: a frame for each scale and for one training or
    several, with ``value``, ``low`` and ``high``, a line a reading."""
    frames = {}
    for (trained, several), own in measured.groupby(["trained", measured["seeds"] > 1]):
        lines = own.rename(columns={"mAP": "value"}).sort_values("value")
        names = lines["option"] + " = " + lines["reading"]
        title = f"{trained}, {'several trainings' if several else 'one training'} of each reading"
        frames[title] = lines[["value", "low", "high"]].set_axis(names)
    return frames


def _signed(value: float) -> str:
    return NOT_RUN if np.isnan(value) else f"{value:+.2f}"


def html_table(chapter: str) -> str:
    """The options of one chapter as a table; the default is bold, the literal reading has a dagger."""
    lines = [_line("th", ["Setting", "Question", "Readings", "Why"])]
    for o in (option for option in OPTIONS if option.chapter == chapter):
        readings = ", ".join(_reading(o, reading) for reading in o.readings)
        lines.append(_line("td", [f"<code>{o.name}</code>", escape(o.question), readings, escape(o.reason)]))
    return f'<table class="dataframe"><thead>{lines[0]}</thead><tbody>{"".join(lines[1:])}</tbody></table>'


def _line(kind: str, cells: list[str]) -> str:
    style = "text-align: left; vertical-align: top; white-space: normal"
    return "<tr>" + "".join(f'<{kind} style="{style}">{cell}</{kind}>' for cell in cells) + "</tr>"


def _reading(option: Option, reading: Any) -> str:
    text = f"<b>{reading}</b>" if reading == option.default else str(reading)
    return text + (" †" if option.literal is not None and reading == option.literal else "")

