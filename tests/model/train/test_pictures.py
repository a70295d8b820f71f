"""The pictures of a model card, read back pixel by pixel."""

import io
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from model.config import FORMAT_VERSION, Config
from model.noise import Stream, standard_normal
from model.train import pictures
from model.vae import VAE, initial_vae

GAP = 2


def plane(
    slope: float = 2.0,
    *,
    gaussian: bool = False,
    value_range: tuple[float, float] | None = None,
) -> VAE:
    """
    Return a model of images of two pixels, of which each follows one latent.

    E[x|z] = (sigmoid(slope z_1), sigmoid(slope z_2)), and mu(x) = x - 1/2. A Gaussian
    one has E[x|z] = slope z.
    """
    linear = {"kind": "mlp", "hidden": (), "activation": "tanh"}
    config = Config.model_validate(
        {
            "format_version": FORMAT_VERSION,
            "data_shape": (1, 2),
            "latent_dim": 2,
            "likelihood": {
                "kind": "gaussian" if gaussian else "bernoulli",
                "sigma_floor": 0.1 if gaussian else None,
            },
            "encoder": linear,
            "decoder": linear,
            "data": {
                "name": "plane",
                "divided_by": 1.0,
                "binarization": "none",
                "standardized": False,
                "value_range": value_range,
            },
        }
    )
    vae = initial_vae(config, seed=0)
    vae.load_state_dict(
        {
            **vae.state_dict(),
            "encoder.mu.weight": torch.eye(2),
            "encoder.mu.bias": torch.full((2,), -0.5),
            f"decoder.{'mu' if gaussian else 'eta'}.weight": slope * torch.eye(2),
        }
    )
    return vae


def tiles(png: bytes, *, n_columns: int) -> NDArray[np.int64]:
    """Read a grid of images of two pixels, (rows, columns, 2), and check its gaps."""
    sheet = np.asarray(Image.open(io.BytesIO(png)).convert("L")).astype(np.int64)
    width = sheet.shape[1] // n_columns
    side = (width - 2 * GAP) // 2  # of an enlarged pixel
    height = side + 2 * GAP
    rows = sheet.reshape(sheet.shape[0] // height, height, n_columns, width)
    cells = rows.transpose(0, 2, 1, 3)
    inner = cells[:, :, GAP:-GAP, GAP:-GAP].reshape(*cells.shape[:2], side, 2, side)
    assert (cells[:, :, :GAP] == 255).all()
    assert (cells[:, :, :, -GAP:] == 255).all()
    assert (inner == inner[:, :, :1, :, :1]).all()  # whole pixels, not blurred
    return inner[:, :, 0, :, 0]


def test_the_manifold_is_the_plane_of_z_in_even_shares_of_the_prior() -> None:
    """Left to right z_1 rises, bottom to top z_2, both by quantiles of the prior."""
    quantiles = torch.special.ndtri((torch.arange(20) + 0.5) / 20)
    wanted = np.rint(255 * torch.sigmoid(2 * quantiles).numpy())

    picture = tiles(pictures.manifold(plane()), n_columns=20)

    assert picture.shape == (20, 20, 2)
    np.testing.assert_allclose(picture[:, :, 0], np.tile(wanted, (20, 1)), atol=1)
    np.testing.assert_allclose(
        picture[:, :, 1].T, np.tile(wanted[::-1], (20, 1)), atol=1
    )


def test_reconstructions_stand_under_their_examples() -> None:
    """Above x, below E[x|z] at z = mu(x)."""
    x = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])

    picture = tiles(pictures.reconstructions(plane(), x), n_columns=3)

    near, far = round(255 / (1 + math.e)), round(255 / (1 + 1 / math.e))
    assert picture[0].tolist() == [[0, 255], [255, 255], [0, 0]]
    assert picture[1].tolist() == [[near, far], [far, far], [near, near]]


def test_samples_are_those_of_the_prior_with_a_seed() -> None:
    """E[x|z] for the z that `/sample` draws, in rows of ten."""
    z = standard_normal((100, 2), seed=5, stream=Stream.PRIOR)
    wanted = np.rint(255 / (1 + np.exp(-2 * z))).reshape(10, 10, 2)

    picture = tiles(pictures.samples(plane(), 100, seed=5), n_columns=10)

    np.testing.assert_allclose(picture, wanted, atol=1)


def test_a_picture_without_contrast_is_drawn_without_a_warning() -> None:
    """Values without a known range are shown from least to most, if they differ."""
    flat, steep = plane(slope=0.0, gaussian=True), plane(slope=9.0, gaussian=True)

    without = tiles(pictures.samples(flat, 100, seed=5), n_columns=10)
    contrast = tiles(pictures.samples(steep, 100, seed=5), n_columns=10)

    assert np.unique(without).tolist() == [0]
    assert (contrast.min(), contrast.max()) == (0, 255)


def test_a_gaussian_is_drawn_in_the_range_of_its_pictures() -> None:
    """Black and white are those of the data, whatever is on the sheet."""
    vae = plane(slope=0.25, gaussian=True, value_range=(-1.0, 1.0))
    z = standard_normal((100, 2), seed=5, stream=Stream.PRIOR).reshape(10, 10, 2)

    picture = tiles(pictures.samples(vae, 100, seed=5), n_columns=10)

    wanted = np.clip(255 * (0.25 * z + 1) / 2, 0, 255)
    np.testing.assert_allclose(picture, wanted, atol=1)


@pytest.mark.parametrize(
    ("data_shape", "wanted"),
    [
        ((8, 8), True),
        ((8, 8, 1), True),
        ((8, 8, 3), True),
        ((8, 8, 2), False),
        ((8, 8, 4), False),
        ((8,), False),
    ],
)
def test_gray_and_rgb_images_can_be_drawn(
    data_shape: tuple[int, ...], wanted: bool
) -> None:
    """Other data have no picture, but train all the same."""
    assert pictures.drawable(data_shape) is wanted


@pytest.mark.slow("draws pictures")
@pytest.mark.parametrize("n_epochs", [1, 2, 30])
def test_the_learning_curve_is_a_picture(n_epochs: int) -> None:
    """However short the run was, and the same bytes every time."""
    journal = [
        {"epoch": i + 1, "train": {"elbo": -9.0 / (i + 1)}, "validation": {"elbo": -i}}
        for i in range(n_epochs)
    ]

    png = pictures.learning_curve(journal, 1)

    assert Image.open(io.BytesIO(png)).size == (700, 400)
    assert pictures.learning_curve(journal, 1) == png
