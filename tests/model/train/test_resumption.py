"""Going on with a run gives, bit for bit, what it would have given unstopped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.files import ReadOptions
from model.train import fit, resumption, saved_state
from model.train.options import RunOptions
from model.train.saved_state import StateError
from model.train.state import State
from tests.model.train.runs import (
    Killed,
    Trainer,
    assert_same,
    without_speed,
    write_images,
    write_table,
)

N_STEPS = 9  # 3 epochs of 3 steps, the last of them smaller


def images(where: Path, **changes: Any) -> Trainer:
    """Return a run with everything in it that could be forgotten on the way."""
    options = RunOptions(
        data=str(write_images(where / "images.npy")),
        out=where / "run",
        hidden=(6,),
        latent_dim=2,
        n_samples=2,
        batch_size=16,
        epochs=3,
        learning_rate=0.01,
        schedule="cosine",
        kl_warmup_epochs=2,
        ema=0.9,
    )
    return Trainer(dataclasses.replace(options, **changes))


def table(where: Path) -> Trainer:
    """Return a run on real numbers, with what the other does not have."""
    options = RunOptions(
        data=str(write_table(where / "table.npy", n=48)),
        out=where / "run",
        likelihood="gaussian",
        hidden=(6,),
        latent_dim=2,
        batch_size=16,
        epochs=3,
        optimizer="adagrad",
        learning_rate=0.05,
        schedule="linear",
        weight_decay=0.01,
        ema=None,
        patience=2,
    )
    return Trainer(options)


def vamp(where: Path) -> Trainer:
    """Return a run whose prior has parameters, and follows the encoder."""
    return images(where, prior="vamp", components=4)


def apart(where: Path, name: str) -> Path:
    """Return a new directory."""
    (where / name).mkdir()
    return where / name


@pytest.mark.slow("trains")
@pytest.mark.parametrize("stop", range(1, N_STEPS))
@pytest.mark.parametrize("optimizer", ["adam", "adagrad"])
def test_a_stopped_run_goes_on_bit_for_bit(
    tmp_path: Path, optimizer: str, stop: int
) -> None:
    """
    A run stopped after any step ends with the bits of one that was not.

    With dynamic binarization, an average of the weights, KL warm-up and a cosine
    schedule; steps 3 and 6 end an epoch.
    """
    whole = images(apart(tmp_path, "whole"), optimizer=optimizer)
    parts = images(apart(tmp_path, "parts"), optimizer=optimizer)
    wanted = whole.fit(whole.begin())

    first = parts.fit(parts.begin(), n_steps=stop)
    second = parts.fit(parts.go_on())

    assert first.progress.n_updates == stop
    assert second.progress.n_updates == N_STEPS
    assert_same(second, wanted)
    assert without_speed(parts.lines) == without_speed(whole.lines)
    assert without_speed(parts.places.journal_lines()) == without_speed(whole.lines)


@pytest.mark.slow("trains in many sittings")
@pytest.mark.parametrize("make", [images, table, vamp])
def test_a_run_stopped_after_every_step_is_the_same_run(
    tmp_path: Path, make: Any
) -> None:
    """Eight interruptions, one after each step, leave no trace."""
    whole = make(apart(tmp_path, "whole"))
    parts = make(apart(tmp_path, "parts"))
    wanted = whole.fit(whole.begin())

    state = parts.begin()
    for _ in range(N_STEPS):
        parts.fit(state, n_steps=1)
        state = parts.go_on()

    assert_same(state, wanted)
    assert without_speed(parts.lines) == without_speed(whole.lines)


def test_a_stop_after_the_last_step_of_an_epoch_ends_the_epoch(tmp_path: Path) -> None:
    """The third of three steps is evaluated and in the journal before the run stops."""
    run = images(tmp_path)

    state = run.fit(run.begin(), n_steps=3)

    assert (state.progress.epoch, state.progress.step) == (1, 0)
    assert [line["epoch"] for line in run.lines] == [1]
    assert state.best


@pytest.mark.slow("trains")
@pytest.mark.parametrize("killed_in", range(1, N_STEPS + 1))
def test_a_killed_run_goes_on_from_its_last_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: int
) -> None:
    """With a save after every step, a kill in any step costs that step alone."""
    monkeypatch.setattr(fit, "_SECONDS_BETWEEN_SAVES", 0.0)
    whole = images(apart(tmp_path, "whole"))
    parts = images(apart(tmp_path, "parts"))
    wanted = whole.fit(whole.begin())

    kill_in_step(parts, killed_in)
    state = parts.go_on()
    assert state.progress.n_updates == killed_in - 1
    parts.fit(state)

    assert_same(state, wanted)
    assert without_speed(parts.lines) == without_speed(whole.lines)


def test_a_run_killed_at_once_can_go_on(tmp_path: Path) -> None:
    """The state is on disk before the first step."""
    whole = images(apart(tmp_path, "whole"))
    parts = images(apart(tmp_path, "parts"))
    wanted = whole.fit(whole.begin())

    kill_in_step(parts, 1)

    assert_same(parts.fit(parts.go_on()), wanted)


def test_no_kill_costs_more_than_the_time_between_saves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    However short the epochs are, the state on disk is 20 seconds old and a step.

    By the clock of this test a step takes 7 seconds and an epoch of two steps 14.
    """
    clock, ages = [0.0], list[float]()
    monkeypatch.setattr("model.train.state.time.monotonic", lambda: clock[0])
    run = images(tmp_path, epochs=6, batch_size=19)

    def after_step(state: State) -> None:
        clock[0] += 7.0
        n_lost = state.progress.n_updates - run.on_disk().progress.n_updates
        ages.append(7.0 * n_lost)

    run.after_step = after_step
    run.fit(run.begin())

    assert ages == [7.0, 14.0, 21.0] * 4


def test_going_on_with_a_complete_run_changes_nothing(tmp_path: Path) -> None:
    """There is nothing left to train."""
    run = images(tmp_path)
    wanted = run.fit(run.begin())
    lines = list(run.lines)

    state = run.fit(run.go_on())

    assert_same(state, wanted)
    assert run.lines == lines


def test_lines_of_epochs_to_be_repeated_are_dropped(tmp_path: Path) -> None:
    """The journal may be ahead of the state, and may end in half a line."""
    run = images(tmp_path)
    run.fit(run.begin(), n_steps=4)
    run.places.record({"epoch": 2})
    with run.places.journal.open("a") as journal:
        journal.write('{"epoch": 3, "trai')

    run.go_on()

    assert [line["epoch"] for line in run.places.journal_lines()] == [1]
    assert run.places.journal.read_text().count("\n") == 1


def test_a_run_remembers_its_options_and_its_command(tmp_path: Path) -> None:
    """What a run began with is all that `--resume` needs."""
    run = images(tmp_path, seed=5, data_dir=Path("some") / "where", channels=(3, 4))
    run.fit(run.begin(), n_steps=1)

    first, command = resumption.run_options(tmp_path / "run")

    assert first == dataclasses.replace(run.options, resume=tmp_path / "run")
    assert list(command) == ["the", "command"]


def test_how_a_file_is_read_belongs_to_the_run(tmp_path: Path) -> None:
    """`--resume` reads it as before, and refuses to read it otherwise."""
    lines = ["id;a;b", *(f"{i};{i % 5},5;{i % 7},25" for i in range(48))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    reading = ReadOptions(drop=("id",), sep=";", decimal=",")
    changes = {
        "data": str(tmp_path / "t.csv"),
        "reading": reading,
        "binarization": None,
    }
    run = images(tmp_path, likelihood="gaussian", **changes)
    run.fit(run.begin(), n_steps=1)

    first, _ = resumption.run_options(tmp_path / "run")

    assert run.config.data.columns == ("a", "b")
    assert first.reading == reading
    other = dataclasses.replace(reading, drop=())
    with pytest.raises(StateError, match=r"began with drop = \('id',\), got \(\)"):
        resumption.check_same(first, dataclasses.replace(first, reading=other))


def test_an_option_that_contradicts_the_run_is_refused(tmp_path: Path) -> None:
    """Even where the new value is the default of the option."""
    first = dataclasses.replace(images(tmp_path).options, resume=tmp_path / "run")
    resumption.check_same(first, first)

    with pytest.raises(StateError) as refusal:
        resumption.check_same(
            first, dataclasses.replace(first, n_samples=RunOptions.n_samples)
        )

    assert str(refusal.value) == (
        f"the run at {tmp_path / 'run'} began with n_samples = 2, got 1; leave the "
        "option out to continue the run"
    )


def test_other_data_than_the_run_began_with_are_refused(tmp_path: Path) -> None:
    """One changed pixel in the file is found, and the state stays as it was."""
    run = images(tmp_path)
    run.fit(run.begin(), n_steps=4)
    before = run.places.state.read_bytes()
    x = np.load(run.options.data)
    x[3, 2, 1] ^= 1
    np.save(run.options.data, x)

    with pytest.raises(
        StateError, match=r"began with data of sha256 [0-9a-f]{64}, got"
    ):
        Trainer(run.options).go_on()

    assert run.places.state.read_bytes() == before


def test_a_run_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The sentence says which file was looked for."""
    wanted = tmp_path / "nothing.training" / "state.safetensors"

    with pytest.raises(StateError) as refusal:
        resumption.run_options(tmp_path / "nothing")

    assert str(refusal.value) == f"no run to resume: there is no {wanted}"


def test_a_run_of_another_version_is_refused(tmp_path: Path) -> None:
    """An option this version does not know is named."""
    run = images(tmp_path)
    run.fit(run.begin(), n_steps=1)
    document = saved_state.read(run.places.state).run
    document["options"]["gamma"] = 4.0
    state = run.go_on()
    state.save(run.places.state, run=json.loads(json.dumps(document)))

    with pytest.raises(StateError, match=r"started by another version: .*'gamma'"):
        resumption.run_options(tmp_path / "run")


def kill_in_step(run: Trainer, number: int) -> None:
    """Train until a kill during that step, which leaves the disk as it is."""

    def strike(state: State) -> None:
        if state.progress.n_updates == number:
            raise Killed

    run.after_step = strike
    with pytest.raises(Killed):
        run.fit(run.begin())
    run.after_step = lambda state: None
    torch.manual_seed(number)  # no ambient randomness may carry a run
