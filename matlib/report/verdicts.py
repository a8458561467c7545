"""What a test of a chapter came to, as a sentence: from the numbers of this run, beside those of the reference runs."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from jaxtyping import Float
from torch import Tensor, special

from matlib.report.tables import FIXED, LOWER_IS_BETTER, SCORES, TRAINED, UNTRAINED, load_scores
from matlib.report.text import plain

#: An error below this share of what ignoring the picture gets is called clearly better, one above the other no better.
CLEARLY, NO_BETTER = 0.6, 0.95
#: From this share of the largest entropy on, attention is called even.
EVEN = 0.98


def in_this_run(*sentences: str) -> Markdown:
    """Sentences of this module about the run that a page shows, for the page; empty ones are left out."""
    return Markdown(f"**In this run:** {' '.join(filter(None, sentences))}")


def in_these_records(*sentences: str) -> Markdown:
    """The same about the records that a page reads."""
    return Markdown(f"**In these records:** {' '.join(filter(None, sentences))}")


def of_reference(folders: Iterable[Path | str], score: str) -> str:
    """What the reference runs of the full model have in one of ``tables.SCORES``; empty where there are none."""
    scores = load_scores(folders)
    own = scores[(scores["name"] == "full") & (scores["profile"] == "laptop")]
    found, fixed = (own[own["network"] == network][score].dropna() for network in (TRAINED, FIXED))
    if found.empty or fixed.empty:
        return ""
    return (f"The reference runs (`laptop` profile, n = {len(found)}) have {found.mean():.1f} in *{score}* over the "
            f"whole test set (see the page of scores), an answer that is the same in every image {fixed.mean():.1f}.")


def of_flow(errors: pd.DataFrame) -> str:
    """Whether a learned flow is better than none: columns ``learned`` and ``no motion``, a line a pair of images."""
    better = int((errors["learned"] < errors["no motion"]).sum())
    learned, none = errors["learned"].mean(), errors["no motion"].mean()
    word = "better" if learned < none else "worse"
    return (f"the learned flow is {word} than no motion on average ({learned:.3g} against {none:.3g}), and better for "
            f"{better} of {len(errors)} pairs.")


def of_attention(weights: Float[Tensor, "b n n"]) -> str:
    """How far attention is from an even share: by the entropy of its rows, 1 is even."""
    cells = weights.shape[-1]
    entropy = (special.entr(weights).sum(-1).mean() / Tensor([cells]).log()).item()
    own = weights.diagonal(dim1=1, dim2=2).mean().item()
    kind = ("as flat as an even share" if entropy >= EVEN
            else "far from an even share" if entropy < 0.9 else "nearly an even share")
    return (f"the attention is {kind}: its entropy is {entropy:.3f} of the largest there is, the largest weight of a "
            f"cell {100 * weights.amax(-1).mean():.1f} % and its own {100 * own:.1f} %, where an even share is "
            f"{100 / cells:.1f} %.")


def of_keypoints(scores: dict, untrained: dict) -> str:
    """Whether keypoints follow the body: what ``scoring.score_model`` says of a network, and of it before training."""
    own, before = scores["keypoints"]["by_side"]["error"], untrained["keypoints"]["by_side"]["error"]
    pose = scores["yardsticks"]["keypoints"]["by_side"]["error"]
    follow = _degree(own / min(pose, before), "follow", "the body")
    return (f"the keypoints {follow}: a linear map from them finds the joints, left and right as in the image, to "
            f"{100 * own:.1f} % of the image's height, from those before training to {100 * before:.1f} %; the mean "
            f"pose, which ignores the picture, is off by {100 * pose:.1f} % ({scores['images']} images).")


def of_gait(keypoints: Float[Tensor, "n k"], ankles: Float[Tensor, "n 2"]) -> str:
    """How far keypoints swing in a stride beside the ankles: ``figures.gait.sideways`` of both."""
    swings, own = keypoints.std(dim=0), ankles.std(dim=0).mean().item()
    most = swings.max().item()
    return (f"the keypoint that swings most does so by {most:.1f} % of the width (standard deviation over the stride), "
            f"{100 * most / own:.0f} % of what an ankle does; all of them on average by {swings.mean():.1f} %.")


def of_equivariance(found: float, constant: float) -> str:
    """Whether a detector beats keypoints that ignore the picture, by the positions' term of Equation 14."""
    follow = _degree(found / constant, "follow", "the bent picture")
    return (f"the network's keypoints {follow}: their error of position is {found:.4f}, that of keypoints that stand "
            f"still {constant:.4f}.")


def _degree(ratio: float, verb: str, what: str) -> str:
    """How far an answer is better than ones that ignore the picture, by the ratio of their errors."""
    if ratio >= NO_BETTER:
        return f"do not {verb} {what}"
    return f"{verb} {what}" if ratio < CLEARLY else f"{verb} {what} in part"


def of_triplets(positive: Float[Tensor, " b"], negative: Float[Tensor, " b"]) -> str:
    """For how many anchors the farthest image of the same person is nearer than anybody else."""
    won = int((positive < negative).sum())
    return (f"for {won} of {len(positive)} pictures every other picture of the same person is nearer than anybody "
            "else's.")


def of_consistency(losses: pd.DataFrame) -> str:
    """What lowers the feature consistency: columns ``learned flow``, ``identity`` and ``true flow``, a line a way."""
    def words(flow: str) -> str:
        lower = losses[flow] < losses["identity"]
        where = "in no line" if not lower.any() else "in every line" if lower.all() else \
            f"in {int(lower.sum())} of {len(losses)} lines"
        return f"the {flow} is below the flow that moves nothing {where}"

    moves = losses["true flow"] < losses["identity"]
    so = ("these features move with the body" if moves.all() else
          "there these features do not move with the body, and a small loss would be no proof of parts")
    return f"{words('learned flow')}; {words('true flow')}: {so}."


def of_parts(scores: dict) -> str:
    """Whether learned parts are parts of the body: what ``scoring.score_model`` says of them, and of stripes."""
    own, stripes = scores["parts"], scores["yardsticks"]["parts"]
    word = "say more" if own["body"]["nmi"] > stripes["body"]["nmi"] else "say no more"
    return (f"on the person's pixels the learned parts {word} of the true ones than horizontal stripes do: NMI "
            f"{100 * own['body']['nmi']:.1f} against {100 * stripes['body']['nmi']:.1f} %; matched one to one they "
            f"overlap the true ones by {100 * own['matched_iou']['mean']:.1f} %, stripes by "
            f"{100 * stripes['matched_iou']['mean']:.1f} % ({scores['images']} images).")


def of_colours(rungs: pd.DataFrame) -> str:
    """Where the identity can be seen: columns ``name`` and ``rank1``, of ``difficulty.rungs_without_learning``."""
    rank = rungs.set_index("name")["rank1"]
    parts, image, chance = rank["true parts"], rank["whole image"], rank["chance"]
    if parts <= image:
        told = "there is no more to be seen, and knowing where to look is not the difficulty"
    else:
        told = "the identity is there to be seen, part by part, and the difficulty lies in knowing where to look"
    return (f"the colours of the true parts find {parts:.1f} % at rank 1, those of the whole image {image:.1f} %, "
            f"chance {chance:.1f} %: {told}.")


def of_span(deviation: float, span: float, metric: str) -> str:
    """Whether a difference as large as ``span`` shows between two single trainings that deviate so by their seed."""
    needed = 1.96 * 2 ** 0.5 * deviation
    can = "can" if span > needed else "cannot"
    return (f"two single trainings have to differ by {needed:.1f} points of {metric} to be told apart: an effect of "
            f"{span:.1f} {can} be seen in one training of each.")


def of_scores(scores: pd.DataFrame) -> str:
    """On which of ``tables.SCORES`` the full model beats what learned nothing; empty where no network was scored."""
    own = scores[scores["name"] == "full"]
    means = {network: own[own["network"] == network][list(SCORES)].mean() for network in (TRAINED, UNTRAINED, FIXED)}
    if means[TRAINED].isna().all():
        return ""
    sides: dict[str, list[str]] = {"better": [], "no better": []}
    for score in SCORES:
        sign = -1 if score in LOWER_IS_BETTER else 1
        trained, *others = (sign * means[network][score] for network in (TRAINED, UNTRAINED, FIXED))
        sides["better" if trained > np.nanmax(others) else "no better"].append(score)
    words = [f"{how} in {', '.join(which)}" for how, which in sides.items() if which]
    return ("the full model is, by the means over its networks, compared with the same before training and with what "
            f"is the same in every image, {'; '.join(words)}.")


def of_rows(found: dict[str, list[str]], metric: str, than: str) -> str:
    """``tables.beyond_chance`` in words."""
    words = {"above": f"above {than}", "below": f"below {than}", "not told apart": f"not told from {than}"}
    parts = [f"{words[key]}: {', '.join(map(plain, labels)) if labels else 'none'}" for key, labels in found.items()]
    return f"by {metric}, beyond chance: {'; '.join(parts)}."


def of_sides(found: dict[str, dict[str, list[str]]], than: str) -> str:
    """``comparison.sides`` in words."""
    def listed(side: str) -> str:
        return "; ".join(f"{plain(label)} ({', '.join(map(plain, titles))})" for label, titles in found[side].items())

    return f"beyond chance, ahead of {than}: {listed('above') or 'none'}. Behind it: {listed('below') or 'none'}."


def of_strata(found: Mapping[str, pd.DataFrame]) -> str:
    """Whether a row gains more on another the more of the query is hidden: frames of ``rows.by_hidden``."""
    words, grows = [], []
    for title, frame in found.items():
        least, most = frame.iloc[0], frame.iloc[-1]
        grows += [title] if most["low"] > least["high"] else []
        words.append(f"{plain(title)} it is {most['value']:+.1f} points where most is hidden and "
                     f"{least['value']:+.1f} where least is")
    so = (f"with what is hidden grows, beyond chance, the difference {', '.join(map(plain, grows))}" if grows else
          "no difference grows beyond chance with what is hidden")
    return f"{'; '.join(words)}: {so}."


def of_readings(found: pd.DataFrame) -> str:
    """Which readings change mAP beyond chance: a frame of ``options.by_severity``."""
    sides = {"lower": found[found["high"] < 0], "raise": found[found["low"] > 0]}
    words = []
    for verb, own in sides.items():
        names = f" ({', '.join(map(plain, own.index))})" if len(own) else ""
        words.append(f"{len(own)} {verb if len(own) != 1 else verb + 's'} mAP beyond chance{names}")
    expected = 0.05 * len(found)
    return (f"of {len(found)} readings {' and '.join(words)}; of so many intervals of 95 %, {expected:.1g} would leave "
            "out 0 by chance alone.")
