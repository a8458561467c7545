"""Sentences that say what came out: they turn where the numbers turn."""

import pandas as pd
import pytest
import torch

from matlib.report import verdicts
from matlib.report.tables import FIXED, SCORES, TRAINED, UNTRAINED
from matlib.report.text import plain


def test_a_flow_is_worse_than_none_where_its_error_is_larger():
    better = verdicts.of_flow(pd.DataFrame({"learned": [1.0, 3.0], "no motion": [2.0, 2.5]}))
    worse = verdicts.of_flow(pd.DataFrame({"learned": [2.0, 3.0], "no motion": [1.0, 2.5]}))
    assert "better than no motion" in better and "better for 1 of 2" in better
    assert "worse than no motion" in worse and "better for 0 of 2" in worse


def test_even_attention_is_called_flat_and_that_to_oneself_is_not():
    even, own = torch.full((1, 8, 8), 1 / 8), torch.eye(8)[None]
    assert "as flat as an even share" in verdicts.of_attention(even)
    said = verdicts.of_attention(own)
    assert "far from an even share" in said and "its own 100.0 %" in said


def scored(error: float, pose: float = 0.06) -> dict:
    return {"keypoints": {"by_side": {"error": error}}, "yardsticks": {"keypoints": {"by_side": {"error": pose}}},
            "images": 10}


@pytest.mark.parametrize(("error", "words"), [
    (0.02, "follow the body:"), (0.05, "follow the body in part"), (0.058, "do not follow"), (0.08, "do not follow")])
def test_keypoints_follow_the_body_where_they_beat_the_mean_pose_and_the_untrained(error, words):
    assert words in verdicts.of_keypoints(scored(error), scored(0.07))
    assert "do not follow" in verdicts.of_keypoints(scored(error), scored(error))


def test_equivariant_keypoints_beat_those_that_stand_still():
    assert "keypoints follow the bent" in verdicts.of_equivariance(0.01, 0.1)
    assert "do not follow" in verdicts.of_equivariance(0.1, 0.1)


def test_triplets_are_won_where_the_positive_is_nearer():
    assert "for 1 of 2 pictures" in verdicts.of_triplets(torch.tensor([1.0, 3.0]), torch.tensor([2.0, 2.0]))


def test_consistency_says_which_flow_lowers_it():
    losses = pd.DataFrame({"learned flow": [1.0, 1.0], "identity": [2.0, 2.0], "true flow": [3.0, 1.0]})
    said = verdicts.of_consistency(losses)
    assert "learned flow is below the flow that moves nothing in every line" in said
    assert "true flow is below the flow that moves nothing in 1 of 2 lines" in said


def test_scores_say_what_is_better_than_what_learned_nothing():
    lines = [{"name": "full", "network": network} | {score: value for score in SCORES}
             for network, value in ((TRAINED, 5.0), (UNTRAINED, 6.0), (FIXED, 7.0))]
    better, rest = verdicts.of_scores(pd.DataFrame(lines)).split("; no better in ")
    for score in SCORES:
        lower = score not in ("NMI", "body NMI", "part IoU", "body IoU")
        assert (score in better.split("better in ")[1].split(", ")) == lower
        assert (score in rest.removesuffix(".").split(", ")) != lower


def test_rows_beyond_chance_are_named_and_an_empty_side_says_none():
    said = verdicts.of_rows({"above": ["A", "B"], "below": [], "not told apart": ["C"]}, "mAP", "MAT")
    assert said == "by mAP, beyond chance: above MAT: A, B; below MAT: none; not told from MAT: C."


def test_sentences_that_are_empty_leave_no_trace():
    assert verdicts.in_this_run("one.", "").data == "**In this run:** one."


def test_reference_runs_are_quoted_where_there_are_some(tmp_path):
    assert verdicts.of_reference([tmp_path], "NMI") == ""
    assert "n = " in verdicts.of_reference(["book/records"], "NMI")


def test_features_that_do_not_move_with_the_body_are_no_proof_of_parts():
    moving = pd.DataFrame({"learned flow": [1.0], "identity": [2.0], "true flow": [1.0]})
    assert "these features move with the body" in verdicts.of_consistency(moving)
    assert "no proof of parts" in verdicts.of_consistency(moving.assign(**{"true flow": [3.0]}))


@pytest.mark.parametrize(("nmi", "words"), [(0.3, "say more of"), (0.1, "say no more of")])
def test_parts_are_told_beside_stripes(nmi, words):
    def found(value):
        return {"body": {"nmi": value}, "matched_iou": {"mean": value / 2}}

    said = verdicts.of_parts({"parts": found(nmi), "yardsticks": {"parts": found(0.2)}, "images": 9})
    assert words in said and f"NMI {100 * nmi:.1f} against 20.0 %" in said and "stripes by 10.0 %" in said


def test_colours_of_parts_say_where_the_difficulty_lies():
    rungs = pd.DataFrame({"name": ["chance", "whole image", "true parts"], "rank1": [1.0, 5.0, 40.0]})
    assert "knowing where to look." in verdicts.of_colours(rungs)
    assert "not the difficulty" in verdicts.of_colours(rungs.assign(rank1=[1.0, 5.0, 5.0]))


def test_an_effect_can_be_seen_where_it_is_larger_than_two_trainings_differ():
    said = verdicts.of_span(1.0, 3.0, "mAP")
    assert "by 2.8 points" in said and "3.0 can be seen" in said
    assert "2.0 cannot be seen" in verdicts.of_span(1.0, 2.0, "mAP")


def test_a_difference_grows_with_what_is_hidden_where_its_intervals_lie_apart():
    def frame(*values):
        return pd.DataFrame([{"value": v, "low": v - 1, "high": v + 1} for v in values])

    one, other = frame(0.0, 9.0, 5.0), frame(1.0, 0.5)
    said = verdicts.of_strata({"less a": one, "less b": other})
    assert "less a it is +5.0 points where most is hidden and +0.0 where least is" in said
    assert said.endswith("grows, beyond chance, the difference less a.")
    assert verdicts.of_strata({"less b": other, "less c": frame(5.0, 0.0)}).endswith(
        "no difference grows beyond chance with what is hidden.")


def test_readings_beyond_chance_are_named():
    found = pd.DataFrame({"value": [-3.0, 0.0, 2.0], "low": [-4.0, -1.0, 1.0], "high": [-2.0, 1.0, 3.0]},
                         index=["a = 1", "b = 2", "c = 3"])
    said = verdicts.of_readings(found)
    lower, higher = plain("a = 1"), plain("c = 3")
    assert f"of 3 readings 1 lowers mAP beyond chance ({lower}) and 1 raises mAP beyond chance ({higher})" in said
    assert "0 lower mAP beyond chance and" in verdicts.of_readings(found[1:])


def test_a_swing_is_told_as_a_share_of_an_ankles():
    ankles = torch.tensor([[-8.0, 8.0], [8.0, -8.0]])
    said = verdicts.of_gait(torch.tensor([[-4.0, 0.0], [4.0, 0.0]]), ankles)
    assert "50 % of what an ankle does" in said
