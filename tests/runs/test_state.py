"""A state to go on from that is not one is noticed when it is read, and the sentence says what to do."""

import copy

import pytest
import torch

from matlib import training
from matlib.config import profile
from matlib.errors import MatlibError
from matlib.runs import checkpoints
from matlib.runs.state import read_state

STEPS = 3


def parts(optimizer, schedule):
    """A training's optimiser and schedule, as ``matlib.training`` makes them."""
    config = profile("smoke").change({"train.optimizer": optimizer, "train.schedule": schedule}).train
    model = torch.nn.ModuleDict({"trunk": torch.nn.Linear(3, 2), "head": torch.nn.Linear(2, 2)})
    made = training._optimizer(model, config)
    return model, made, training._schedule(made, config, STEPS)


def left(optimizer, schedule):
    """What it leaves after an epoch."""
    model, made, planned = parts(optimizer, schedule)
    for _ in range(STEPS):
        model["head"](model["trunk"](torch.ones(1, 3))).sum().backward()
        made.step()
        planned.step()
    return {"config": {}, "identities": 2, "model": {}, "optimizer": made.state_dict(),
            "schedule": planned.state_dict(), "scaler": {}, "fingerprint": "abc",
            "history": [{"epoch": 1, "losses": {"total": 1.0}, "seconds": 2.0}]}


def read(state, folder, optimizer="adamw", schedule="step"):
    checkpoints.save(folder / "resume.pt", state)
    _, made, planned = parts(optimizer, schedule)
    return read_state(folder / "resume.pt", made, {"schedule": planned.state_dict()}, STEPS)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
@pytest.mark.parametrize("schedule", ["step", "onecycle"])
def test_a_sound_state_is_read(tmp_path, optimizer, schedule):
    state = left(optimizer, schedule)
    assert read(state, tmp_path, optimizer, schedule)["schedule"]["last_epoch"] == STEPS


def _moments(state):
    return state["optimizer"]["state"][0]


DAMAGES = {
    "no optimizer": lambda s: s.pop("optimizer"),
    "no schedule": lambda s: s.pop("schedule"),
    "no history": lambda s: s.pop("history"),
    "no fingerprint": lambda s: s.pop("fingerprint"),
    "optimizer of a wrong type": lambda s: s.update(optimizer=[1]),
    "optimizer is empty": lambda s: s.update(optimizer={}),
    "moments are no dictionary": lambda s: s["optimizer"].update(state=[1]),
    "moments of no parameter": lambda s: s["optimizer"]["state"].update({99: {}}),
    "no moments": lambda s: s["optimizer"]["state"].clear(),
    "a moment is missing": lambda s: _moments(s).pop("exp_avg"),
    "a moment of another optimiser": lambda s: _moments(s).update(momentum_buffer=torch.zeros(2, 3)),
    "a moment of another shape": lambda s: _moments(s).update(exp_avg=torch.zeros(2, 2)),
    "a moment is text": lambda s: _moments(s).update(exp_avg="a"),
    "a moment is no number": lambda s: _moments(s).update(exp_avg=torch.full((2, 3), torch.nan)),
    "a step is a matrix": lambda s: _moments(s).update(step=torch.zeros(2)),
    "groups are missing": lambda s: s["optimizer"].update(param_groups=[]),
    "groups of other parameters": lambda s: s["optimizer"]["param_groups"][0].update(params=[0]),
    "parameters in another order": lambda s: s["optimizer"]["param_groups"][0].update(params=[1, 0]),
    "a rate is text": lambda s: s["optimizer"]["param_groups"][0].update(lr="0.1"),
    "a rate is no number": lambda s: s["optimizer"]["param_groups"][0].update(lr=float("nan")),
    "schedule of a wrong type": lambda s: s.update(schedule=5),
    "schedule without its step": lambda s: s["schedule"].pop("last_epoch"),
    "schedule with a method's name": lambda s: s["schedule"].update(step=5),
    "schedule's step is text": lambda s: s["schedule"].update(last_epoch="3"),
    "schedule of another epoch": lambda s: s["schedule"].update(last_epoch=2 * STEPS),
    "schedule of fewer groups": lambda s: s["schedule"].update(base_lrs=[0.1]),
    "history is no list": lambda s: s.update(history={}),
    "history of no epochs": lambda s: s.update(history=[1]),
    "history in another order": lambda s: s["history"][0].update(epoch=2),
    "history with text": lambda s: s["history"][0].update(losses={"total": "1"}),
    "history is too long": lambda s: s["history"].append({"epoch": 2}),
    "fingerprint is no text": lambda s: s.update(fingerprint=5),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_told_with_its_mend(tmp_path, damage):
    state = copy.deepcopy(left("adamw", "step"))
    DAMAGES[damage](state)
    with pytest.raises(MatlibError, match="resume.pt is damaged, and no training can go on from it .*; delete it, and "
                                          "the run is trained anew|resume.pt is .* damaged: move it away") as told:
        read(state, tmp_path)
    assert "\n" not in str(told.value) and len(str(told.value)) < 400


@pytest.mark.parametrize(("optimizer", "schedule"), [("sgd", "step"), ("adamw", "onecycle")])
def test_a_state_of_another_optimiser_or_schedule_is_told(tmp_path, optimizer, schedule):
    with pytest.raises(MatlibError, match="resume.pt is damaged"):
        read(left(optimizer, schedule), tmp_path)
