"""A run's scores: a network that knows the truth scores full marks, and a record says what was measured on what."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from matlib.scoring import scores as scoring
from matlib.ablations import row_config
from matlib.data import Truth, load_dataset
from matlib.data.transforms import IMAGENET_MEAN, IMAGENET_STD
from matlib.errors import MatlibError
from matlib.geometry import Keypoints
from matlib.models import MATOutput, build_model
from matlib.runs import checkpoints, records

SIZE = (64, 32)
PEOPLE = 8
SHIFTS = (0, 8)  # pixels to the right, of each person's two images
GREY = 18  # steps of brightness between labels


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Rendered images, each its own part mask in greys; the second image of a person is the first one moved."""
    root = tmp_path_factory.mktemp("data")
    folder = root / "annyville-occluded"
    rng = np.random.default_rng(0)
    splits = {"bounding_box_train": "0099_c1s1_{}_01.png", "query": None, "bounding_box_test": None}
    for split in splits:
        labels, surface = {}, []
        for person in range(1, PEOPLE + 1) if splits[split] is None else [99]:
            mask, joints, skin = figure(np.random.default_rng(person))
            shift = SHIFTS[split == "bounding_box_test"]
            name = f"{person:04}_c{1 + (shift > 0)}_f0000001.png"
            moved = np.roll(mask, shift, axis=1)
            if split == "query":
                moved[40:, :] = np.where(moved[40:, :] > 0, 64, 128)
            write(folder, split, name, moved)
            labels[name] = {"keypoints": [[x + shift, y, 2 if y < 40 or shift else 1] for x, y in joints.tolist()],
                            "occlusion": 0.3 if split == "query" else 0.0, "occluder": None,
                            "yaw": float(rng.uniform(-180, 180))}
            surface.append(np.c_[(skin + (shift, 0)) * 16, np.ones(len(skin))])
        (folder / "truth" / f"{split}.json").write_text(json.dumps(labels))
        np.save(folder / "truth" / f"{split}.surface.npy", np.array(surface).round().astype(np.int16))
    counts = {split: len(list((folder / split).iterdir())) for split in splits}
    (root / "annyville-occluded.json").write_text(json.dumps({"fingerprint": "abc", "counts": counts}))
    return root


def figure(rng):
    """A mask with all parts, 17 joints and 30 points of the skin, within the left 24 columns."""
    mask = np.zeros(SIZE, np.uint8)
    for part in range(1, 14):
        top, left = 4 * part, int(rng.integers(2, 12))
        mask[top : top + 4, left : left + 8] = part
    return mask, rng.uniform((4, 4), (20, 60), (17, 2)), rng.uniform((4, 4), (20, 60), (30, 2))


def write(folder, split, name, mask):
    grey = mask.astype(int) * GREY % 251
    for path, values in ((folder / split / name, grey), (folder / "truth" / split / name, mask)):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(values.astype(np.uint8)).save(path)


class Seer(torch.nn.Module):
    """Reads the labels off the greys, and knows where each image's person stands; at the image's resolution."""

    trunk = SimpleNamespace(stride=1)

    def __init__(self, samples, located=True):
        super().__init__()
        self.joints = [Truth(sample).keypoints[:, :2] for sample in samples]
        self.located, self.next = located, 0

    def forward(self, images):
        grey = (images[:, 0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]) * 255
        table = torch.tensor([label * GREY % 251 for label in range(14)])
        near = (grey[:, None] - table[None, :, None, None]).abs()
        maps = torch.where(near < 1, 1.0, 0.0)
        maps[:, 0] += 1e-3  # all else is background
        joints = torch.stack(self.joints[self.next : self.next + len(images)])
        self.next += len(images)
        positions = (2 * joints - 1) / (torch.tensor([SIZE[1], SIZE[0]]) - 1) - 1
        jacobians = torch.eye(2).expand(*positions.shape, 2)
        keypoints = Keypoints(positions[:, :13], jacobians[:, :13]) if self.located else None
        nothing = torch.zeros(len(images), 1)
        return MATOutput(nothing, nothing, nothing, part_maps=maps / maps.sum(1, keepdim=True), keypoints=keypoints)


def settings(root, row="full"):
    return row_config(row, "smoke", 0, {"data.root": str(root), "data.height": SIZE[0], "data.width": SIZE[1]})


def test_who_knows_the_truth_scores_full_marks(root):
    data = load_dataset("annyville-occluded", root)
    samples = [*data.query, *data.gallery]
    scores = scoring.score_model(Seer(samples), samples, settings(root))
    parts = scores["parts"]
    assert parts["foreground_iou"] == 1 and parts["occluders_taken"] == 0
    assert parts["all"] == pytest.approx({"purity": 1, "nmi": 1, "ari": 1})
    assert parts["matched_iou"]["groups"]["head"] == 1  # arms and legs are two parts or more, matched with one
    assert set(parts["by_occlusion"]) == {"0-5 %", "20-40 %"} and scores["images"] == 2 * PEOPLE
    assert parts["by_occlusion"]["0-5 %"]["occluders_taken"] is None
    assert scores["keypoints"]["error"] < scores["yardsticks"]["keypoints"]["error"]
    assert scores["keypoints"]["joints"] + scores["keypoints"]["hidden"]["joints"] == 2 * PEOPLE * 17
    motion = scores["motion"]
    assert motion["identity"] == pytest.approx(8 / SIZE[0], rel=1e-4)  # each point moves by 8 pixels
    assert motion["translation"] < 1e-5 and motion["affine"] < 1e-5
    assert motion["learned"] < 0.7 * motion["identity"]  # the background, which stays, has a share in the flow
    assert (motion["pairs"], motion["points"]) == (2 * PEOPLE, 2 * PEOPLE * 30)
    assert sum(group["points"] for group in motion["by_turn"].values()) == motion["points"]
    assert scores["yardsticks"]["parts"]["foreground_iou"] < 1


def test_points_that_nobody_sees_move_no_mean(rng):
    """Whatever a flow says of them, and also where a point is seen in no pair."""
    table = {name: torch.rand(6, 4, generator=rng).numpy() for name in ("learned", "identity")}
    table["seen"] = torch.rand(6, 4, generator=rng).numpy() < 0.5
    table["seen"][:, 2] = False
    means = scoring._mean_errors(table)
    assert means["points"] == table["seen"].sum() and means["pairs"] == 6
    for name in ("learned", "identity"):
        total = sum(table[name][pair, point] for pair in range(6) for point in (0, 1, 3) if table["seen"][pair, point])
        assert means[name] == pytest.approx(total / means["points"])
        table[name][~table["seen"]] = np.nan
    assert scoring._mean_errors(table) == means


def test_a_model_that_diverged_is_not_scored(root):
    samples = load_dataset("annyville-occluded", root).query
    model = Seer(samples)
    model.joints[0] = torch.full_like(model.joints[0], torch.inf)
    with pytest.raises(MatlibError, match="diverged"):
        scoring.score_model(model, samples, settings(root))


def test_the_truth_is_a_ceiling_that_comes_down_with_the_size_of_the_cells(root):
    data = load_dataset("annyville-occluded", root)
    samples = [*data.query, *data.gallery]
    fine, coarse = (scoring.score_truth(samples, settings(root).change({"model.output_stride": stride}))
                    for stride in (1, 8))
    assert fine["parts"]["all"] == pytest.approx({"purity": 1, "nmi": 1, "ari": 1})
    assert 0 < coarse["parts"]["all"]["nmi"] < 1 and coarse["parts"]["foreground_iou"] < 1
    assert fine["yardsticks"]["keypoints"] == coarse["yardsticks"]["keypoints"]
    assert fine["motion"]["learned"] < fine["motion"]["identity"]


def test_parts_alone_are_scored_alone(root):
    samples = load_dataset("annyville-occluded", root).query
    scores = scoring.score_model(Seer(samples, located=False), samples, settings(root))
    assert set(scores) == {"images", "parts", "yardsticks"}


@pytest.fixture
def run(root, tmp_path):
    """What a training leaves behind."""
    config = settings(root)
    torch.manual_seed(5)
    model = build_model(config.model, 4)
    checkpoints.save(tmp_path / checkpoints.CHECKPOINT, checkpoints.model_state(model, config, 4))
    data = {"name": "annyville-occluded", "fingerprint": "abc"}
    records.write_record(tmp_path, {"config": config.to_dict(), "data": data, "seconds": {"training": 1.0},
                                    "metrics": {}})
    return tmp_path


def test_a_run_is_scored_once(root, run, monkeypatch, caplog):
    record = scoring.score_run(run, "annyville-occluded", root)
    assert set(record["scores"]) == {"trained", "untrained", "truth"} and record["metrics"] == {}
    assert record["scores"]["trained"]["parts"] != record["scores"]["untrained"]["parts"]
    assert record["scores"]["trained"]["yardsticks"] == record["scores"]["untrained"]["yardsticks"]
    assert record["tested"]["name"] == "annyville-occluded"
    assert records.read_record(run / "record-scores-annyville-occluded.json") == json.loads(json.dumps(record))
    monkeypatch.setattr(scoring, "score_model", None)  # not measured again
    arguments = ["scoring", "--run", str(run), "--dataset", "annyville-occluded", "--root", str(root)]
    monkeypatch.setattr("sys.argv", arguments)
    with caplog.at_level(logging.INFO):
        scoring.main()
    assert "untrained: joints: error" in caplog.text and "end-point error" in caplog.text


def test_the_untrained_network_is_the_one_that_training_starts_from(root, run):
    config = settings(root)
    torch.manual_seed(config.seed)
    expected = build_model(config.model, 4).state_dict()
    found = checkpoints.initial_model(run).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_what_cannot_be_scored_is_told(root, tmp_path):
    config = settings(root, "baseline")
    samples = load_dataset("annyville-occluded", root).query
    with pytest.raises(MatlibError, match="baseline has neither keypoints nor parts"):
        scoring.score_model(build_model(config.model, 4), samples, config)
    config = settings(root, "true_parts")
    with pytest.raises(MatlibError, match="true_parts is given the truth"):
        scoring.score_model(build_model(config.model, 4), samples, config)
    with pytest.raises(MatlibError, match="no record"):
        scoring.score_run(tmp_path, "annyville-occluded", root)
