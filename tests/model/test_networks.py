"""Encoder and decoder compute the formulas of AEVB App. C, on images in (H, W, C)."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from model.config import LikelihoodConfig
from model.distributions import Bernoulli, ContinuousBernoulli, Gaussian
from model.networks import FromChannels, Standardization, ToChannels
from model.vae import VAE
from tests.tiny import tiny_config, tiny_vae

Build = Callable[..., VAE]

IMAGES = pytest.mark.parametrize(
    ("data_shape", "channels"),
    [
        ((8, 8), (3,)),
        ((8, 8), (3, 4, 5)),
        ((7, 9), (3, 4)),
        ((5, 2), (3,)),
        ((6, 11, 3), (4, 5)),
        ((5, 6, 2), (4,)),
        ((2, 2, 4), (3,)),
    ],
    ids=str,
)
LIKELIHOODS = pytest.mark.parametrize(
    "likelihood", ["bernoulli", "continuous_bernoulli", "gaussian"]
)


def random(*shape: int, seed: int = 0) -> Tensor:
    """Return normal numbers in float64."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def affine(layer: object, x: Tensor) -> Tensor:
    """Return W x + b of a linear layer, by its own numbers."""
    assert isinstance(layer, nn.Linear)
    return torch.einsum("oi,...i->...o", layer.weight, x) + layer.bias


def set_constant(layer: object, value: float | Tensor) -> None:
    """Make a linear layer put out its bias alone."""
    assert isinstance(layer, nn.Linear)
    nn.init.zeros_(layer.weight)
    with torch.no_grad():
        layer.bias[:] = value


def gaussian(vae: VAE, z: Tensor) -> Gaussian:
    """Decode z with a Gaussian decoder."""
    p_x = vae.decode(z)
    assert isinstance(p_x, Gaussian)
    return p_x


def test_the_encoder_is_a_gaussian_mlp(build: Build) -> None:
    """One tanh layer and the heads mu and log sigma^2: AEVB App. C.2."""
    vae = build(hidden=(5,))
    x = random(4, 6)

    q_z = vae.encode(x)

    h = torch.tanh(affine(vae.encoder.torso[0], x))
    torch.testing.assert_close(q_z.mu, affine(vae.encoder.mu, h))
    torch.testing.assert_close(q_z.log_var, affine(vae.encoder.log_var, h))


def test_the_bernoulli_decoder_is_a_sigmoid_of_an_mlp(build: Build) -> None:
    """E[x|z] is the sigmoid of a linear map of tanh layers: AEVB App. C.1."""
    vae = build(hidden=(5, 4))
    z = random(4, 3)

    mean = vae.decode(z).mean

    h = torch.tanh(affine(vae.decoder.torso[0], z))
    h = torch.tanh(affine(vae.decoder.torso[2], h))
    torch.testing.assert_close(mean, torch.sigmoid(affine(vae.decoder.eta, h)))


def test_the_gaussian_decoder_has_two_heads(build: Build) -> None:
    """The mean is a linear map of tanh layers, and sigma^2 = floor^2 + e^head."""
    vae = build(hidden=(5,), likelihood="gaussian", sigma_floor=0.3)
    z = random(4, 3)

    p_x = gaussian(vae, z)

    h = torch.tanh(affine(vae.decoder.torso[0], z))
    torch.testing.assert_close(p_x.mean, affine(vae.decoder.mu, h))
    variance = 0.3**2 + affine(vae.decoder.log_var, h).exp()
    torch.testing.assert_close(p_x.log_var.exp(), variance)


@pytest.mark.parametrize(
    ("activation", "function"),
    [
        ("tanh", torch.tanh),
        ("relu", lambda h: h.clamp(min=0)),
        ("silu", lambda h: h / (1 + torch.exp(-h))),
    ],
)
def test_the_activation_is_the_one_named(
    build: Build, activation: str, function: Callable[[Tensor], Tensor]
) -> None:
    """Hidden units are the named function of their input, in both networks."""
    vae = build(hidden=(5,), activation=activation)
    x, z = random(4, 6), random(4, 3, seed=1)

    mu, mean = vae.encode(x).mu, vae.decode(z).mean

    h = function(affine(vae.encoder.torso[0], x))
    torch.testing.assert_close(mu, affine(vae.encoder.mu, h))
    h = function(affine(vae.decoder.torso[0], z))
    torch.testing.assert_close(mean, torch.sigmoid(affine(vae.decoder.eta, h)))


def test_without_hidden_layers_both_networks_are_linear(build: Build) -> None:
    """With `hidden` empty mu is W x + b, and so is the Gaussian's mean."""
    vae = build(hidden=(), likelihood="gaussian")
    x, z = random(4, 6), random(4, 3, seed=1)

    mu, mean = vae.encode(x).mu, vae.decode(z).mean

    torch.testing.assert_close(mu, affine(vae.encoder.mu, x))
    torch.testing.assert_close(mean, affine(vae.decoder.mu, z))


@LIKELIHOODS
def test_the_decoder_puts_out_the_family_of_the_configuration(
    build: Build, likelihood: str
) -> None:
    """The likelihood's name decides the family of p(x|z)."""
    vae = build(likelihood=likelihood)

    p_x = vae.decode(random(4, 3))

    family = {
        "bernoulli": Bernoulli,
        "continuous_bernoulli": ContinuousBernoulli,
        "gaussian": Gaussian,
    }[likelihood]
    assert type(p_x) is vae.likelihood is family


@pytest.mark.parametrize("floor", [1e-3, 0.1, 2.0])
def test_sigma_is_never_below_its_floor(build: Build, floor: float) -> None:
    """At heads from -1e4 to 50, sigma^2 is floor^2 + e^head, in float32 too."""
    head = torch.tensor([-1e4, -100.0, -20.0, -5.0, 0.0, 5.0, 50.0])
    vae = build(
        data_shape=(7,), hidden=(), likelihood="gaussian", sigma_floor=floor
    ).float()
    set_constant(vae.decoder.log_var, head)

    log_var = gaussian(vae, torch.zeros(1, 3)).log_var[0].double()

    # In float32, log sigma^2 is rounded at its own size, at most 50.
    torch.testing.assert_close(
        log_var, torch.log(floor**2 + head.double().exp()), rtol=4e-7, atol=4e-7
    )
    assert (torch.exp(0.5 * log_var) >= floor * (1 - 1e-6)).all()


@LIKELIHOODS
@IMAGES
def test_conv_networks_fit_odd_and_even_images(
    build: Build,
    likelihood: str,
    data_shape: tuple[int, ...],
    channels: tuple[int, ...],
) -> None:
    """Whatever the height, width and colors, a row of x has D values and z has J."""
    vae = build(data_shape=data_shape, channels=channels, likelihood=likelihood)
    x = random(2, math.prod(data_shape))

    q_z = vae.encode(x)
    p_x = vae.decode(q_z.mu)

    assert q_z.mu.shape == q_z.log_var.shape == (2, 3)
    assert p_x.log_prob_per_dim(x.sigmoid()).shape == p_x.mean.shape == x.shape


@IMAGES
def test_every_pixel_and_color_matters(
    build: Build, data_shape: tuple[int, ...], channels: tuple[int, ...]
) -> None:
    """The encoder reads and the decoder writes each value of an image for itself."""
    vae = build(data_shape=data_shape, channels=channels)
    x = random(1, math.prod(data_shape)).requires_grad_()

    (gradient,) = torch.autograd.grad(vae.encode(x).mu.sum(), x)
    mean = vae.decode(random(2, 3)).mean

    assert (gradient != 0).all()
    assert (mean[0] != mean[1]).all()


def test_an_image_is_height_by_width_by_color() -> None:
    """A flat row is read and written in the order (H, W, C)."""
    image = torch.arange(24.0).reshape(1, 2, 4, 3)  # (N, H, W, C)

    stack = ToChannels(2, 4)(image.flatten(start_dim=1))

    assert stack.shape == (1, 3, 2, 4)
    for c in range(3):
        torch.testing.assert_close(stack[:, c], image[..., c])
    torch.testing.assert_close(FromChannels()(stack), image.flatten(start_dim=1))


def test_the_conv_encoder_keeps_colors_and_places_apart(build: Build) -> None:
    """A feature at the top right sees the top right of the one color it weighs."""
    vae = build(data_shape=(6, 10, 3), channels=(1,))
    to_channels, convolution = vae.encoder.torso[0], vae.encoder.torso[1]
    assert isinstance(to_channels, ToChannels)
    assert isinstance(convolution, nn.Conv2d)
    with torch.no_grad():
        convolution.weight[:, [0, 2]] = 0
    x = random(1, 180).requires_grad_()

    features = convolution(to_channels(x))  # (1, 1, 3, 5)
    (gradient,) = torch.autograd.grad(features[0, 0, 0, -1], x)

    seen = torch.zeros(6, 10, 3, dtype=torch.bool)
    seen[:3, 7:, 1] = True
    assert ((gradient.reshape(6, 10, 3) != 0) == seen).all()


def test_the_conv_decoder_keeps_colors_and_places_apart(build: Build) -> None:
    """A feature at the top right shows at the top right, each color by its kernel."""
    vae = build(data_shape=(6, 10, 3), channels=(1,), likelihood="gaussian")
    head = vae.decoder.mu
    assert isinstance(head, nn.Sequential)
    features = torch.zeros(1, 1, 3, 5, dtype=torch.float64)
    features[0, 0, 0, -1] = 1

    image = head(features).reshape(6, 10, 3)

    convolution = head[0]
    assert isinstance(convolution, nn.ConvTranspose2d)
    assert convolution.bias is not None
    kernel = convolution.weight[0]  # (C, 4, 4)
    expected = convolution.bias.expand(6, 10, 3).clone()
    # The kernel's top row and right column fall outside of the image.
    expected[:3, 7:] += kernel[:, 1:, :3].permute(1, 2, 0)
    torch.testing.assert_close(image, expected)


@pytest.mark.parametrize("channels", [(), (2,)])
@LIKELIHOODS
def test_leading_dimensions_are_rows(
    build: Build, likelihood: str, channels: tuple[int, ...]
) -> None:
    """Encoding (K, N, D) and decoding (K, N, J) is doing so row by row."""
    vae = build(data_shape=(4, 4), channels=channels, likelihood=likelihood)
    x, z = random(2, 5, 16), random(2, 5, 3, seed=1)

    q_z, p_x = vae.encode(x), vae.decode(z)

    assert q_z.mu.shape == q_z.log_var.shape == (2, 5, 3)
    for k, n in [(0, 0), (0, 4), (1, 2)]:
        torch.testing.assert_close(q_z.mu[k, n], vae.encode(x[k, n]).mu)
        torch.testing.assert_close(q_z.log_var[k, n], vae.encode(x[k, n]).log_var)
        log_prob = vae.decode(z[k, n]).log_prob_per_dim(torch.ones(16))
        torch.testing.assert_close(p_x.log_prob_per_dim(torch.ones(16))[k, n], log_prob)


@pytest.mark.parametrize("data_shape", [(4,), (2, 2)])
def test_networks_of_standardized_data_do_not_know_its_units(
    build: Build, data_shape: tuple[int, ...]
) -> None:
    """Whatever shift and scale are, they compute what plain networks compute."""
    changes = {"data_shape": data_shape, "likelihood": "gaussian"}
    vae, plain = build(**changes, standardized=True), build(**changes)
    z, u = random(5, 3), random(5, 4, seed=1)

    log_prob = vae.decode(z).log_prob_per_dim(u)

    assert vae.standardization is not None
    torch.testing.assert_close(log_prob, plain.decode(z).log_prob_per_dim(u))
    torch.testing.assert_close(vae.encode(u).mu, plain.encode(u).mu)


def test_a_standardized_encoder_sees_standardized_data(build: Build) -> None:
    """If data have a range, it is the plain encoder of (x - shift) / scale."""
    vae, plain = build(standardized=True), build()
    units = vae.encoder.standardization
    assert isinstance(units, Standardization)
    x = 5 * random(4, 6)

    q_z = vae.encode(x)

    reference = plain.encode((x - units.shift) / units.scale)
    torch.testing.assert_close(q_z.mu, reference.mu)
    torch.testing.assert_close(q_z.log_var, reference.log_var)


def test_a_floor_far_below_does_not_round_the_variance() -> None:
    """Log sigma^2 keeps the precision of float32 whatever the floor is."""
    document = {"sigma_floor": 1e-9, "kind": "gaussian"}
    config = tiny_config("gaussian", data_shape=(5,)).model_copy(
        update={"likelihood": LikelihoodConfig.model_validate(document)}
    )
    decoder = tiny_vae(config).decoder
    log_var = torch.linspace(-3, 3, 101)

    p_x = decoder.likelihood(torch.zeros(101), log_var)

    assert isinstance(p_x, Gaussian)
    assert torch.equal(p_x.log_var, log_var)
