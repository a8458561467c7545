"""The numeric claims of the paper's sections 4.3 to 4.5, each beside what the records say, with a verdict by one rule.

The rule is ``verdict``: it looks at the 95 % interval of a difference and at the side of 0 on which the paper's lies.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

from matlib.ablations import ROWS
from matlib.annyville import PRESETS
from matlib.data.readers.counts import COUNTS, PAPER
from matlib.evaluation import Interval
from matlib.report import captions, quoted
from matlib.report.captions import Shown
from matlib.report.comparison import TWINS, Twin, of_twin
from matlib.report.links import Linked, listing
from matlib.report.tables import (
    FIXED, METRICS, NOT_RUN, TRAINED, experiments, in_pairs, paired_difference, show, steps_difference,
    training_chance)

AGREES, CONTRADICTS, UNDECIDED = "agrees", "contradicts", "not distinguishable"
NOT_TESTED, NOT_TESTABLE = "not tested at scale", "not testable here"
VERDICTS = (AGREES, CONTRADICTS, UNDECIDED, NOT_TESTED, NOT_TESTABLE)

_OCCLUDED, _OCCLUDED_REID, _PARTIAL_REID, _PARTIAL_ILIDS, _MARKET, _DUKE = TWINS
_TITLES = METRICS | {"rank3": "R-3"}
_MAT = "MAT, the paper"
_METHODS = {"full": _MAT, "pat": "PAT", "isp": "ISP", "horeid": "HOReID"}


@dataclass(frozen=True)
class Claim:
    """What the paper says of one row less another, on the set that a twin stands for.

    Without ``less``, of a row's own number on the paper's set. With ``then``, of two steps: what ``row`` adds to
    ``less``, less what ``then`` adds to ``row``. ``close``: the paper says that the two are near each other, not that
    one is ahead. ``said`` are the differences in the text, where it has them.
    """

    section: str
    words: str
    row: str
    less: str = ""
    then: str = ""
    twin: Twin = _OCCLUDED
    metrics: tuple[str, ...] = ("rank1", "mAP")
    close: bool = False
    said: tuple[float, ...] = ()

    @property
    def rows(self) -> tuple[str, ...]:
        return tuple(name for name in (self.less, self.row, self.then) if name)

    def paper(self, metric: str) -> float:
        """The paper's value, from the cells of its tables."""
        first, middle, last = (printed(name, self.twin, metric) if name else 0.0
                               for name in (self.less, self.row, self.then))
        return round(middle - first - (last - middle if self.then else 0.0), 2)

    def side(self, metric: str) -> int | None:
        """Of 0, that of the paper's difference; 0 where the claim has none; None where it is of no difference."""
        if not self.less:
            return None
        return 0 if self.close else 1 if self.paper(metric) > 0 else -1


def printed(row: str, twin: Twin, metric: str) -> float:
    """The number of a row in the paper's tables, in percent."""
    if twin is _OCCLUDED:
        return ROWS[row].paper[list(METRICS).index(metric)]
    return quoted.ROWS[_METHODS[row]][2][2 * TWINS.index(twin) + twin.metrics.index(metric)]


#: The two steps of the paper's conclusion, and the conclusion itself.
PARTS = Claim("4.3", "#1 to #2: parts and self-supervised keypoints", "no_transformer", "baseline")
TRANSFORMER = Claim("4.3", "#2 to #5: the transformer", "full", "no_transformer")
STEPS = Claim("4.3", "#1 to #2 brings more than #2 to #5", "no_transformer", "baseline", "full")

CLAIMS = (
    PARTS,
    Claim("4.3", "#2 to #3: the encoder", "encoder_only", "no_transformer", said=(2.6, 2.6)),
    Claim("4.3", "#2 to #4: the decoder", "decoder_only", "no_transformer"),
    Claim("4.3", "#4 to #3: the encoder more than the decoder", "encoder_only", "decoder_only"),
    Claim("4.3", "#3 to #5: the decoder beside the encoder", "full", "encoder_only"),
    Claim("4.3", "#6 to #5: self-supervised keypoints, not a detector's", "full", "pretrained_keypoints",
          said=(2.0, 4.5)),
    TRANSFORMER,
    STEPS,
    Claim("4.4", "3 to 10 parts", "full", "parts_3"),
    Claim("4.4", "6 to 10 parts", "full", "parts_6"),
    Claim("4.4", "17 parts to 10", "full", "parts_17"),
    Claim("4.4", "6 parts and 17 are close", "parts_17", "parts_6", close=True),
    *(Claim("4.5", f"MAT's own number on {twin.of}", "full", twin=twin, metrics=twin.metrics) for twin in TWINS),
    Claim("4.5", "MAT over PAT on Occluded-Duke", "full", "pat", said=(1.3, 5.2)),
    Claim("4.5", "MAT over ISP on Occluded-Duke", "full", "isp", said=(3.4, 6.5)),
    Claim("4.5", "MAT over PAT on Occluded-REID", "full", "pat", twin=_OCCLUDED_REID, said=(1.6, 1.4)),
    Claim("4.5", "MAT over HOReID on Occluded-REID", "full", "horeid", twin=_OCCLUDED_REID, said=(2.9, 3.3)),
    Claim("4.5", "MAT over PAT on Partial-REID", "full", "pat", twin=_PARTIAL_REID, metrics=("rank1", "rank3")),
    Claim("4.5", "MAT over PAT on Partial-iLIDS", "full", "pat", twin=_PARTIAL_ILIDS, metrics=("rank1", "rank3")),
    Claim("4.5", "MAT over PAT on Market-1501", "full", "pat", twin=_MARKET, metrics=("mAP",), said=(1.4,)),
    Claim("4.5", "MAT and PAT are close on Market-1501", "full", "pat", twin=_MARKET, metrics=("rank1",), close=True),
    Claim("4.5", "MAT over ISP on DukeMTMC-reID", "full", "isp", twin=_DUKE, metrics=("mAP",)),
    Claim("4.5", "MAT and ISP are close on DukeMTMC-reID", "full", "isp", twin=_DUKE, metrics=("rank1",), close=True),
)

#: Differences that the paper does not have: ``points`` tells of them.
MOTION = Claim("", "the motion losses", "full", "guards_only")
ALL_LOSSES = Claim("", "the motion losses and their guards", "full", "identity_only")
TRUE_PARTS = Claim("", "pooled over the true parts", "true_parts", "baseline")
TRUE_PARTS_OVER_MAT = Claim("", "pooled over the true parts", "true_parts", "full")
BEYOND = Claim("", "parts in rows of small cells, no labels but identities", "beyond", "baseline")
BEYOND_STRIPES = Claim("", "the same over stripes of such cells", "beyond", "stripes_fine")
FOLLOWING = Claim("", "motion where it moves what is pooled", "following_motion", "following")
FOLLOWING_TRUE = Claim("", "true joints in its place", "following_truth", "following")
LOCATED = Claim("", "motion where keypoints bound what is compared", "located_motion", "located")
LOCATED_TRUE = Claim("", "true joints in its place", "located_truth", "located")


def verdict(side: int | None, found: Interval | None) -> str:
    """The rule: from the side of 0 on which the paper's difference lies (1, -1), and the interval of ours.

    * ``agrees``: the whole interval lies on the paper's side of 0; ``contradicts``: on the other;
    * ``not distinguishable``: it holds 0;
    * ``not tested at scale``: there is no interval;
    * ``not testable here``: the claim is of no difference (side None), but of a number on a set that is not at hand.

    A claim that two rows are close has no side (0): an interval without 0 contradicts it, and none proves it.
    """
    if side is None:
        return NOT_TESTABLE
    if found is None:
        return NOT_TESTED
    if found.low <= 0 <= found.high:
        return UNDECIDED
    return AGREES if side == (1 if found.low > 0 else -1) else CONTRADICTS


class Measured(NamedTuple):
    """Differences by metric, in points; how many runs a row has; at what scale; the records of each row."""

    differences: dict[str, Interval]
    runs: str
    scale: str
    records: Linked


def measure(claim: Claim, frame: pd.DataFrame) -> Measured | None:
    """A claim's differences at the largest scale (training images, then epochs) that has all its rows; None without.

    The ``smoke`` profile is none, and neither is a scale at which no row was trained twice: what another training
    changes would be unknown there.
    """
    found = experiments(of_twin(claim.twin, frame[frame["profile"] != "smoke"]))
    for _, group in sorted(found, key=lambda each: _size(each[1]), reverse=True):
        if differences := _differences(claim, group):
            rows = [group[group["name"] == name] for name in claim.rows]
            return Measured(differences, _counts(rows), _scale(group),
                            listing((name, runs["path"]) for name, runs in zip(claim.rows, rows)))
    return None


def _differences(claim: Claim, group: pd.DataFrame) -> dict[str, Interval] | None:
    between = training_chance(group, claim.metrics)
    rows = [group[group["name"] == name] for name in claim.rows]
    if len(rows) < 2 or between.isna().any():
        return None
    return steps_difference(*rows, between) if claim.then else paired_difference(rows[1], rows[0], between)


def _size(group: pd.DataFrame) -> tuple[int, int]:
    """Training images, where the records have them, and epochs."""
    images = group["images"].dropna()
    return int(images.max()) if len(images) else 0, int(group["epochs"].iloc[0])


def _counts(rows: list[pd.DataFrame]) -> str:
    counts = [str(len(runs)) for runs in rows]
    return counts[0] if len(set(counts)) == 1 else " / ".join(counts)


def _scale(group: pd.DataFrame) -> str:
    """Profile, length and training people, in words."""
    run, (size, _) = group.iloc[0], _size(group)
    train = run["config"].train
    steps = run["epochs"] * (size // (train.identities_per_batch * train.images_per_identity))
    people = {preset.train_identities * preset.train_pictures: preset.train_identities for preset in PRESETS.values()}
    rendered = size in people and run["trained_on"].startswith("annyville")
    return (f"{run['profile']} profile: " + (f"{people[size]} training people, " if rendered else "")
            + f"{size:,} images, {run['epochs']} epochs, {steps:,} steps")


def results_table(frame: pd.DataFrame, claims: Iterable[Claim] = CLAIMS) -> pd.DataFrame:
    """A line for each number of each claim: the paper's, ours with its interval and n runs a row, the verdict."""
    lines = {}
    for claim in claims:
        found = measure(claim, frame) if claim.less else None
        for metric in claim.metrics:
            interval = found.differences[metric] if found else None
            value = claim.paper(metric)
            lines[claim.words, _TITLES[metric]] = {
                "the paper's": f"{value:+.1f}" if claim.less else f"{value:.1f}",
                "here": in_pairs(*interval) if interval else NOT_RUN,
                "holds the paper's": _yes(interval.low <= value <= interval.high) if interval else NOT_RUN,
                "n": found.runs if found else NOT_RUN,
                "verdict": verdict(claim.side(metric), interval),
                "scale": found.scale if found else NOT_RUN,
                "records": found.records if found else NOT_RUN}
    result = pd.DataFrame.from_dict(lines, orient="index", dtype=object)
    result.index = pd.MultiIndex.from_tuples(result.index)
    return result


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"


def of_section(section: str) -> list[Claim]:
    return [claim for claim in CLAIMS if claim.section == section]


def show_results(table: pd.DataFrame, label: str) -> Shown:
    """``results_table`` as the page prints it: a scale that all lines share is in its caption."""
    scales = sorted(set(table["scale"]) - {NOT_RUN})
    shown = table.drop(columns="scale") if len(scales) < 2 else table
    return captions.table(
        show(shown), label,
        "Each number that the section claims, the paper's and ours: differences in points with 95 % intervals over "
        "other queries and other trainings, n trainings of each row.", f"Here: {scales[0]}" if len(scales) == 1 else "")


def tally(table: pd.DataFrame) -> dict[str, int]:
    """How many lines have each verdict."""
    return {each: int((table["verdict"] == each).sum()) for each in VERDICTS}


def points(frame: pd.DataFrame, scores: pd.DataFrame) -> list[str]:
    """What the records say of the paper's main conclusion, of motion and of parts, a paragraph each.

    ``scores`` are those of ``tables.load_scores``. A paragraph whose records are missing is left out.
    """
    found = (_conclusion(frame), _motion(frame), _found_by_motion(scores), _following(frame), _located(frame),
             _true_parts(frame), _beyond(frame))
    return [paragraph for paragraph in found if paragraph]


def _conclusion(frame: pd.DataFrame) -> str:
    parts, transformer, steps = (measure(claim, frame) for claim in (PARTS, TRANSFORMER, STEPS))
    if not parts or not transformer or not steps or len({parts.scale, transformer.scale, steps.scale}) > 1:
        return ""
    gaps = [steps.differences[metric] for metric in STEPS.metrics]
    order = ("the other way round" if all(gap.value < 0 for gap in gaps) else "the same"
             if all(gap.value > 0 for gap in gaps) else "the other way round in one of the two metrics")
    told = sum(not gap.low <= 0 <= gap.high for gap in gaps)
    return ("The paper's main conclusion is that parts and keypoints bring most and the transformer little: "
            f"{_paper(PARTS)} from #1 to #2, {_paper(TRANSFORMER)} from #2 to #5. Here the order is {order}: "
            f"{_ours(parts)} from #1 to #2, {_ours(transformer)} from #2 to #5 ({steps.scale}). The first step less "
            f"the second is {_ours(steps)}, beyond chance in {('neither metric', 'one metric', 'both metrics')[told]}.")


def _motion(frame: pd.DataFrame) -> str:
    motion, losses = measure(MOTION, frame), measure(ALL_LOSSES, frame)
    if not motion or not losses:
        return ""
    gains = any(each.differences[metric].low > 0 for each in (motion, losses) for metric in MOTION.metrics)
    brings = "a gain" if gains else "no gain that can be told from chance"
    return (f"Motion brings {brings} in retrieval: the full model less the same without motion losses is "
            f"{_ours(motion)}, less the same with identity losses alone {_ours(losses)} ({motion.scale}).")


def _found_by_motion(scores: pd.DataFrame) -> str:
    own = scores[scores["profile"] == "laptop"]  # the one whose reference records have scores
    kinds = ((MOTION.less, TRAINED), (MOTION.row, TRAINED), (MOTION.row, FIXED))
    rows = [own[(own["name"] == name) & (own["network"] == network)] for name, network in kinds]
    if not all(map(len, rows)):
        return ""
    without, full, fixed = (runs[["joint error", "body NMI"]].mean() for runs in rows)
    return (f"What motion {'does give' if full['joint error'] < without['joint error'] else 'changes'} is in keypoints "
            f"and parts: with its losses the mean error of the joints goes from {without['joint error']:.1f} to "
            f"{full['joint error']:.1f} percent of the image's height, the agreement of the parts with the true ones "
            f"on the body (NMI) from {without['body NMI']:.1f} to {full['body NMI']:.1f} percent; horizontal stripes "
            f"have {fixed['body NMI']:.1f} ({_counts(rows[:2])} runs a row, laptop profile).")


def _true_parts(frame: pd.DataFrame) -> str:
    return _measured("What parts could give: the baseline's trunk, pooled over the true visible parts, is {} from the "
                     "baseline and {} from the full model{}. No method can have such parts from pictures.",
                     frame, TRUE_PARTS, TRUE_PARTS_OVER_MAT)


def _following(frame: pd.DataFrame) -> str:
    found = measure(FOLLOWING, frame)
    if not found:
        return ""
    gaps = {_TITLES[metric]: found.differences[metric] for metric in FOLLOWING.metrics}
    told = {"it raises": [title for title, gap in gaps.items() if gap.low > 0],
            "it lowers": [title for title, gap in gaps.items() if gap.high < 0]}
    brings = [f"{verb} {' and '.join(titles)} beyond chance" for verb, titles in told.items() if titles]
    return (f"Where motion moves what is pooled and sends no gradient into the features, with parts in windows around "
            f"the keypoints and a detached trunk, {', '.join(brings) or 'it changes nothing beyond chance'}: with the "
            f"motion losses, less without, {_ours(found)} ({found.scale}).")


def _located(frame: pd.DataFrame) -> str:
    return _measured("What good keypoints are worth there: true joints, in place of keypoints that nothing teaches, "
                     "{}. Where keypoints bound the parts, and hidden parts are not compared, true joints are worth "
                     "{}, and motion {}{}.", frame, FOLLOWING_TRUE, LOCATED_TRUE, LOCATED)


def _beyond(frame: pd.DataFrame) -> str:
    return _measured("What can be had of it without labels: part maps in windows around rows, pooled from the trunk's "
                     "map in cells of 4 pixels, are {} from the baseline, {} from plain stripes of such cells{}. "
                     "The design is not the paper's.", frame, BEYOND, BEYOND_STRIPES)


def _measured(words: str, frame: pd.DataFrame, *claims: Claim) -> str:
    """The words with the claims' differences, and with their scale, each with its own where they have several; empty
    where one was not measured."""
    found = [measure(claim, frame) for claim in claims]
    if not all(found):
        return ""
    if len({each.scale for each in found}) == 1:
        return words.format(*map(_ours, found), f" ({found[0].scale})")
    return words.format(*(f"{_ours(each)} ({each.scale})" for each in found), "")


def _paper(claim: Claim) -> str:
    return " and ".join(f"{claim.paper(metric):+.1f} {_TITLES[metric]}" for metric in claim.metrics)


def _ours(found: Measured) -> str:
    return " and ".join(f"{in_pairs(*found.differences[metric])} {_TITLES[metric]}" for metric in ("rank1", "mAP"))


def slips() -> list[str]:
    """The paper's own slips in sections 4.1 to 4.5: what it prints, and what its tables or the sets themselves say."""
    pat, market_pat = (next(claim for claim in CLAIMS if claim.said and claim.less == "pat" and claim.twin is twin)
                       for twin in (_OCCLUDED, _MARKET))
    first, second = best_on()
    duke, partial, market = (PAPER[name] for name in ("occluded_duke", "partial_reid", "market1501"))
    isp = printed("full", _MARKET, "mAP") - printed("isp", _MARKET, "mAP")
    return [
        f"Section 4.5: {pat.said[0]:.1f} points of rank-1 over PAT on Occluded-Duke; {pat.paper('rank1'):.1f} by "
        "Table 3.",
        f"Table 3: the best on five sets; in rank-1 on {first} of its six, in its second metric on {second}.",
        f"Section 4.5: the advantage of {market_pat.said[0]:.1f} in mAP on Market-1501 is over PAT; over ISP, the best "
        f"of the others there, it is {isp:.1f}.",
        f"Section 4.1: {duke.images:,} training images of Occluded-Duke; {duke.why}.",
        f"Section 4.1: {partial.images:,} images of Partial-REID; {partial.why}.",
        f"Section 4.1: {market.images:,} gallery images of Market-1501; {market.why}, and "
        f"{COUNTS['market1501'].gallery.images:,} are left.",
        f"Table 3: the size, the trunk or the source of {_mislabelled()} is not what the row says; the notes under the "
        "quoted table say how.",
    ]


def best_on() -> tuple[int, int]:
    """On how many of Table 3's six sets MAT's first number is the highest, and its second."""
    others = [row[2] for label, row in quoted.ROWS.items() if label != _MAT]
    wins = [all(not other[i] >= value for other in others) for i, value in enumerate(quoted.ROWS[_MAT][2])]
    return sum(wins[::2]), sum(wins[1::2])


def _mislabelled() -> str:
    labels = [label for label, (*_, notes) in quoted.ROWS.items() if notes and label != _MAT]
    return f"{', '.join(labels[:-1])} and {labels[-1]}"
