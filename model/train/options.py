"""The options of a training run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from model.checkpoint.held_out import MAX_EXAMPLES
from model.command_line import Reading
from model.config import Activation, LikelihoodName
from model.data_config import Binarization
from model.files import ReadOptions
from model.noise import MAX_SEED
from model.prior_config import MAX_COMPONENTS

ObjectiveName = Literal["elbo", "iwae", "dreg"]
NoiseName = Literal["decoder", "value", "model"]
StartName = Literal["random", "linear"]
PriorName = Literal["standard", "mixture", "vamp"]

_LARGEST = 2**31 - 1
_NOT_NEGATIVE = ("patience", "kl_warmup_epochs", "weight_decay", "beta", "free_bits")
_POSITIVE = (
    "hidden",
    "channels",
    "sigma_floor",
    "latent_dim",
    "components",
    "n_samples",
    "learning_rate",
    "batch_size",
    "epochs",
    "validation_samples",
    "test_samples",
    "threads",
)


@dataclass(frozen=True)
class TrainOptions:
    """
    Train a variational autoencoder and write a checkpoint.

    An option whose default is None is chosen by size and kind of the data, and printed.

    Attributes:
        preset: Where options that are not given come from: auto chooses them by the
            data and prints the choice; paper takes those of Kingma & Welling (2014).
        data: digits, mnist, fashion-mnist, or a path: an array (.npy, .npz), a
            table (.csv, .tsv, .parquet, ...) or a folder of pictures.
        reading: How a file is read.
        data_dir: Folder with the IDX files of mnist or fashion-mnist; without it they
            are downloaded once.
        out: Directory of the checkpoint; checkpoints/NAME if not given.
        overwrite: Replace an existing checkpoint or run at --out.
        resume: Continue the run that had this --out, with the same options. With a
            larger --epochs a finished run goes on, up to that many epochs in total.
        init_from: Checkpoint, or its URL, to take the initial weights from, with their
            shift and scale of the data. Its architecture must be that of the options.
            Its prior is used if it is that of the options; else it is initialized.
        network: mlp is that of the paper; conv needs images.
        hidden: Widths of the hidden layers of the encoder, and reversed of the decoder;
            conv takes one.
        channels: Channels of the convolutions, each of which halves the image.
        activation: Of the hidden layers; tanh as in the paper.
        likelihood: p(x|z): bernoulli for {0, 1}, continuous_bernoulli for [0, 1],
            gaussian for real numbers, table for columns of mixed kinds, each with its
            own; auto chooses by the values and says why: a table of numbers alone is
            gaussian or bernoulli, one with texts or missing cells is a table.
        sigma_floor: Smallest standard deviation of a Gaussian decoder, in units of
            standardized data.
        noise: Standard deviation of a Gaussian decoder: decoder is a function of z as
            in the paper; value is learned, one for each value of x (for conv, each
            color); model is learned, one for all values.
        start: Weights before the first step: linear begins as the better of factor
            analysis and a full Gaussian, random as in Glorot & Bengio (2010).
        latent_dim: J, the number of dimensions of z.
        prior: p(z): standard is N(0, I) as in the paper; mixture a learned Gaussian
            mixture, the choice for a table; vamp the mean of q(z|u) over learned
            pseudo-inputs u (Tomczak & Welling 2018).
        components: C of mixture and vamp; with vamp, a step encodes C more rows.
        objective: elbo as in the paper; iwae is the bound of K importance-weighted
            draws (Burda et al. 2016), dreg the same bound with a gradient of less
            variance if q is close to the posterior (Tucker et al. 2019). The best epoch
            is selected by the bound that is trained on, with as many draws; figures are
            of the ELBO.
        n_samples: K, draws of z per example and step; iwae and dreg need two or more.
        optimizer: adam, or adagrad as in the paper.
        learning_rate: The highest learning rate of the run.
        schedule: How the learning rate falls to zero over the run, if at all.
        batch_size: Examples per step.
        epochs: Passes over the training data.
        kl_warmup_epochs: Epochs over which the weight of the KL in the loss rises
            from 0 to beta; reported ELBOs have no weight.
        beta: Weight of the KL in the loss (Higgins et al. 2017); reported and served
            ELBOs have none. The best epoch is selected with it.
        free_bits: Nats of KL per dimension of z that cost nothing in the loss, as a
            mean over the batch (Kingma et al. 2016); reported and served ELBOs pay
            for them. The best epoch is selected with it.
        weight_decay: Decoupled for adam (AdamW), an L2 penalty for adagrad.
        ema: Decay of an exponential moving average of the weights, None for none; if
            there is an average, it is evaluated and saved.
        patience: Stop after this many epochs without a better validation bound; 0 for
            never.
        binarization: How gray values are binarized: static draws once, dynamic draws
            again at every use, threshold cuts at 1/2. If not given: dynamic for
            bernoulli on gray data, else none.
        standardize: Shift and scale the data for the networks; densities stay in the
            data's own units. If not given: only for gaussian.
        validation_fraction: Fraction of the training rows to use for validation. If not
            given: 0.1 for a file without validation rows, and the usual rows of a named
            data set.
        test_fraction: Fraction of the rows of a file without test rows to use for
            testing; 0.1 if not given.
        validation_samples: K of the validation bound that selects the best epoch.
        test_samples: K of the figures in the model card.
        test_seed: Seed for the noise of those figures, and for static binarization.
        examples: Number of held-out rows to store in the checkpoint, at most 64, for
            the explorer. With 0 the checkpoint has no data except the card's pictures.
        seed: Seed for initial weights, noise and order.
        device: auto uses a GPU if there is one.
        threads: CPU threads; all cores if not given.
        compile: Compile the step with torch.compile. This needs a C++ compiler and half
            a minute; then training is faster.
    """

    data: str = "digits"
    reading: Reading = field(default_factory=ReadOptions)
    data_dir: Path | None = None
    out: Path | None = None
    overwrite: bool = False
    resume: Path | None = None
    init_from: str | Path | None = None
    preset: Literal["auto", "paper"] = "auto"
    network: Literal["mlp", "conv"] = "mlp"
    hidden: tuple[int, ...] | None = None
    channels: tuple[int, ...] = (32, 64)
    activation: Activation | None = None
    likelihood: LikelihoodName | Literal["auto"] = "auto"
    sigma_floor: float = 0.01
    noise: NoiseName | None = None
    start: StartName | None = None
    latent_dim: int | None = None
    prior: PriorName | None = None
    components: int | None = None
    objective: ObjectiveName = "elbo"
    n_samples: int | None = None
    optimizer: Literal["adam", "adagrad"] = "adam"
    learning_rate: float | None = None
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    batch_size: int | None = None
    epochs: int | None = None
    kl_warmup_epochs: int | None = None
    beta: float = 1.0
    free_bits: float = 0.0
    weight_decay: float | None = None
    ema: float | None = 0.999
    patience: int | None = None
    binarization: Binarization | None = None
    standardize: bool | None = None
    validation_fraction: float | None = None
    test_fraction: float | None = None
    validation_samples: int | None = None
    test_samples: int = 16
    test_seed: int = 0
    examples: int = MAX_EXAMPLES
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = None
    compile: bool = False

    def check(self) -> None:
        """
        Check the options before any work.

        Raises:
            ValueError: It names option and value.
        """
        for name in _POSITIVE:
            for value in _values(getattr(self, name)):
                if not 0 < value <= _LARGEST:
                    raise ValueError(
                        f"{_flag(name)} must be positive and at most {_LARGEST}, "
                        f"got {value}"
                    )
        for name in _NOT_NEGATIVE:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _LARGEST:
                raise ValueError(f"{_flag(name)} must not be negative, got {value}")
        for name in ("seed", "test_seed"):
            if not 0 <= getattr(self, name) <= MAX_SEED:
                raise ValueError(
                    f"{_flag(name)} must lie between 0 and 2^63 - 1, "
                    f"got {getattr(self, name)}"
                )
        if not 0 <= self.examples <= MAX_EXAMPLES:
            raise ValueError(
                f"--examples must lie between 0 and {MAX_EXAMPLES}, got {self.examples}"
            )
        if self.ema is not None and not 0 < self.ema < 1:
            raise ValueError(f"--ema must lie between 0 and 1, got {self.ema}")
        self._check_pairs()

    def _check_pairs(self) -> None:
        """Check for options that would be ignored or contradict each other."""
        if self.network == "conv" and self.hidden is not None and len(self.hidden) != 1:
            raise ValueError(
                f"--network conv takes one --hidden width, got {self.hidden}"
            )
        if self.network != "conv" and self.channels != TrainOptions.channels:
            raise ValueError("--channels needs --network conv")
        if self.components is not None and self.components > MAX_COMPONENTS:
            raise ValueError(
                f"--components must be at most {MAX_COMPONENTS}, got {self.components}"
            )
        no_mixture = self.prior in (None, "standard")
        if no_mixture and self.components not in (None, RunOptions.components):
            raise ValueError("--components needs --prior mixture or vamp")
        if self.free_bits and not no_mixture:
            raise ValueError(
                f"--free-bits needs --prior standard: under {self.prior} the KL is not "
                "a sum over dimensions"
            )
        if self.start == "linear" and self.init_from is not None:
            raise ValueError("--start linear does not go with --init-from")
        if self.objective != "elbo":
            self._check_importance_weighted()
        self._check_likelihood()

    def _check_importance_weighted(self) -> None:
        if self.n_samples is not None and self.n_samples < 2:
            raise ValueError(
                f"--objective {self.objective} needs --n-samples of 2 or more, "
                f"got {self.n_samples}"
            )
        for name, default in (
            ("kl_warmup_epochs", 0),
            ("beta", TrainOptions.beta),
            ("free_bits", TrainOptions.free_bits),
        ):
            if getattr(self, name) not in (None, default):
                raise ValueError(
                    f"{_flag(name)} needs --objective elbo: {self.objective} has no KL"
                )

    def _check_likelihood(self) -> None:
        likelihood = self.likelihood
        if likelihood == "auto":
            return  # checked again when it is chosen
        if likelihood != "gaussian":
            if self.sigma_floor != TrainOptions.sigma_floor:
                raise ValueError("--sigma-floor needs --likelihood gaussian")
            if self.noise not in (None, "decoder"):
                raise ValueError(f"--noise {self.noise} needs --likelihood gaussian")
            if self.start == "linear":
                raise ValueError("--start linear needs --likelihood gaussian")
        if likelihood == "bernoulli" and self.standardize:
            raise ValueError("--standardize does not go with --likelihood bernoulli")
        if likelihood != "bernoulli" and self.binarization not in (None, "none"):
            raise ValueError(
                f"--binarization {self.binarization} needs --likelihood bernoulli, "
                f"got {likelihood}"
            )


@final
@dataclass(frozen=True)
class RunOptions(TrainOptions):
    """
    The options of a run, with none left to choose; those of the paper are the default.

    The state of a run has them, so that a later version's choices do not change it.
    """

    preset: Literal["auto", "paper"] = "paper"
    hidden: tuple[int, ...] = (500,)
    activation: Activation = "tanh"
    likelihood: LikelihoodName = "bernoulli"
    noise: NoiseName = "decoder"
    start: StartName = "random"
    latent_dim: int = 20
    prior: PriorName = "standard"
    components: int = 500
    n_samples: int = 1
    learning_rate: float = 2e-3
    batch_size: int = 100
    epochs: int = 200
    kl_warmup_epochs: int = 0
    weight_decay: float = 0.0
    patience: int = 0
    validation_samples: int = 1


def _values(value: Any) -> tuple[float, ...]:
    if value is None:
        return ()
    return value if isinstance(value, tuple) else (value,)


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")
