"""What a test of a chapter came to, as a sentence: from the numbers of this run, beside those of the reference runs."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown
from jaxtyping import Float
from torch import Tensor, special

from matlib.report.tables import FIXED, SCORES, TRAINED, UNTRAINED, load_scores
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

    return f"{words('learned flow')}; {words('true flow')}."


def of_scores(scores: pd.DataFrame) -> str:
    """On which of ``tables.SCORES`` the full model beats what learned nothing; empty where no network was scored."""
    own = scores[scores["name"] == "full"]
    means = {network: own[own["network"] == network][list(SCORES)].mean() for network in (TRAINED, UNTRAINED, FIXED)}
    if means[TRAINED].isna().all():
        return ""
    sides: dict[str, list[str]] = {"better": [], "no better": []}
    for score in SCORES:
        sign = -1 if "error" in score or score == "joints by side" else 1
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
