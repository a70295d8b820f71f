"""The options of an adoption."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from model.checkpoint.held_out import MAX_EXAMPLES
from model.config import ArrayLikelihood
from model.data_config import Binarization
from model.noise import MAX_SEED
from model.prior_config import MAX_COMPONENTS

AxisOrder = Literal["auto", "flat", "flat_chw", "nhw", "nhwc", "nchw"]

_MAX_TEST_SAMPLES = 4096


@final
@dataclass(frozen=True)
class AdoptOptions:
    """
    Write a checkpoint from an encoder and a decoder that were trained elsewhere.

    Attributes:
        encoder: ONNX file of the encoder; its input is a batch of x.
        decoder: ONNX file of the decoder; its input is a batch of z.
        likelihood: p(x|z) of the loss: bernoulli for binary cross-entropy,
            gaussian for a squared error, continuous_bernoulli.
        out: Directory of the checkpoint.
        overwrite: Replace an existing checkpoint at --out.
        name: Name of the model; that of --out if not given.
        encoder_outputs: What the encoder's outputs are, as MEANING=NAME, or MEANING=0
            for the first output: mu with log_var, log_sigma or sigma; or one of
            mu_log_var, mu_log_sigma, mu_sigma, a tensor of 2J. If not given: found by
            their names.
        decoder_outputs: The same for the decoder: logits, probabilities (it must end in
            a sigmoid, which is taken off), or mean, for gaussian also with log_var,
            log_sigma or sigma.
        data_shape: Shape of one example, such as 28 28; that of the input if not given.
        layout: Order of the axes of the networks' images; flat_chw is a flattened
            nchw. The service has channels last.
        input_range: What 0 and 1 of the data are for the networks, such as -1 1,
            or (0 - mean) / std and (1 - mean) / std of a normalization.
        sigma: Standard deviation of a gaussian decoder without an output for it, in the
            networks' units: a number, or fit or fit_per_dim for the one of highest ELBO
            on the training rows of --data. The loss 1/2 sum (x - y)^2 + KL means 1,
            sum (x - y)^2 + KL means 0.70710678, a mean of squares means none: fit.
        sigma_floor: Smallest standard deviation of a gaussian decoder, in data units.
        prior: standard is N(0, I); fit is a mixture of --components Gaussians, fitted
            to q(z|x) of the training rows of --data.
        components: Components of a fitted prior; 1 is a single Gaussian.
        expect: Three .npy files from your own framework: x, and its mu and x_hat (the
            decoder's output at mu), which must be found again.
        data: Data set as in training: digits, mnist, fashion-mnist, or a path. It
            gives calibration, examples, figures and pictures.
        data_dir: Folder with the IDX files of mnist or fashion-mnist.
        binarization: How gray values of --data are binarized for bernoulli; static if
            not given.
        divided_by: 8-bit images are divided by this to give x; 255 for images
            unless --data says otherwise.
        test_samples: K of the figures in the model card.
        test_seed: Seed of the noise of those figures.
        examples: Number of held-out rows to store, at most 64.
        threads: CPU threads; all cores if not given.
    """

    encoder: Path
    decoder: Path
    likelihood: ArrayLikelihood
    out: Path
    overwrite: bool = False
    name: str | None = None
    encoder_outputs: tuple[str, ...] = ()
    decoder_outputs: tuple[str, ...] = ()
    data_shape: tuple[int, ...] | None = None
    layout: AxisOrder = "auto"
    input_range: tuple[float, float] = (0.0, 1.0)
    sigma: str | None = None
    sigma_floor: float = 1e-6
    prior: Literal["standard", "fit"] = "standard"
    components: int = 1
    expect: tuple[Path, Path, Path] | None = None
    data: str | None = None
    data_dir: Path | None = None
    binarization: Binarization | None = None
    divided_by: float | None = None
    test_samples: int = 16
    test_seed: int = 0
    examples: int = MAX_EXAMPLES
    threads: int | None = None

    def check(self) -> None:
        """
        Check the options before any work.

        Raises:
            ValueError: It names option and value.
        """
        low, high = self.input_range
        if not (abs(low) < 1e6 and abs(high) < 1e6 and high > low):
            raise ValueError(
                f"--input-range must ascend between -1e6 and 1e6, got {low} {high}"
            )
        if not 0 < self.sigma_floor <= 1e3:
            raise ValueError(
                "--sigma-floor must be above 0 and at most 1000, "
                f"got {self.sigma_floor}"
            )
        for option, value, least, most in (
            ("--components", self.components, 1, MAX_COMPONENTS),
            ("--examples", self.examples, 0, MAX_EXAMPLES),
            ("--test-samples", self.test_samples, 1, _MAX_TEST_SAMPLES),
            ("--test-seed", self.test_seed, 0, MAX_SEED),
        ):
            if not least <= value <= most:
                raise ValueError(
                    f"{option} must lie between {least} and {most}, got {value}"
                )
        if self.divided_by is not None and not 0 < self.divided_by < 1e9:
            raise ValueError(
                f"--divided-by must be above 0 and below 1e9, got {self.divided_by}"
            )
        self._check_pairs()

    def _check_pairs(self) -> None:
        """Check for options that would be ignored or contradict each other."""
        fits = self.sigma is not None and self.sigma.startswith("fit")
        for wanted, option in ((self.prior == "fit", "--prior fit"), (fits, "--sigma")):
            if wanted and self.data is None:
                raise ValueError(f"{option} needs --data to fit to")
        if self.prior == "standard" and self.components != 1:
            raise ValueError("--components needs --prior fit")
        if self.sigma is not None and self.likelihood != "gaussian":
            raise ValueError("--sigma needs --likelihood gaussian")
        if self.sigma is not None and not fits:
            _positive(self.sigma)
        if self.sigma not in (None, "fit", "fit_per_dim") and fits:
            raise ValueError(
                f"--sigma must be a number, fit or fit_per_dim, got {self.sigma}"
            )
        if self.likelihood != "bernoulli" and self.binarization not in (None, "none"):
            raise ValueError("--binarization needs --likelihood bernoulli")
        if self.data is None and self.data_dir is not None:
            raise ValueError("--data-dir needs --data")


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e6:
        raise ValueError(
            f"--sigma must be a positive number, fit or fit_per_dim, got {text}"
        )
    return value
