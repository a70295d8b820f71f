"""From data to an answer: train on real digits, serve the checkpoint, ask for it."""

from pathlib import Path

import numpy as np
import pytest

from model import data
from model.train.command import main
from tests.app.served import Served

QUICK = ("--hidden", "32", "--latent-dim", "4", "--epochs", "5", "--threads", "1")


@pytest.mark.slow("trains on the digits")
def test_the_service_gives_the_figures_of_the_model_card(tmp_path: Path) -> None:
    """
    The mean of `/elbo` over the test rows is the test ELBO that training reported.

    Both are means over the same draws; what is left is float32 rounding.
    """
    status = main(["--data", "digits", "--out", str(tmp_path / "digits"), *QUICK])
    x = data.load("digits").test.x
    with Served(tmp_path / "digits") as served:
        figures = served.get("/model").json()["figures"]
        elbo, log_likelihood, kl = (
            next(f for f in figures if (f["name"], f["split"]) == (name, "test"))
            for name in ("elbo", "log_likelihood", "kl")
        )

        answer = served.post(
            "/elbo",
            {
                "x": x.tolist(),
                "n_samples": elbo["n_samples"],
                "seed": elbo["noise_seed"],
                "binarize": "sample",
            },
        ).json()

    assert status == 0
    assert abs(np.mean(answer["elbo"]) - elbo["value"]) < 1e-4
    assert abs(np.mean(answer["log_likelihood"]) - log_likelihood["value"]) < 1e-4
    assert abs(np.mean(answer["kl"]) - kl["value"]) < 1e-4
