"""Adopt an encoder and a decoder: read, check, fit, measure, write."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from model import data
from model.adopt.assembly import Adopted, assemble, set_log_var
from model.adopt.checks import check_networks
from model.adopt.expectations import Expected, check_expected, read_expected
from model.adopt.files import read_graph
from model.adopt.fits import fit_log_var, with_fitted_prior
from model.adopt.measured import MeasuredData
from model.adopt.options import AdoptOptions
from model.adopt.publication import publish
from model.checkpoint.manifest import ModelMetrics
from model.data import DataError
from model.data.preparation import default_binarization, prepare
from model.engine.backends import TOLERANCE
from model.graph import Graph
from model.likelihoods import LIKELIHOODS
from model.vae import VAE

Say = Callable[[str], object]

_SLOWER = (
    "ONNX Runtime differs from torch by {:.1e} of the largest value, more than "
    f"{TOLERANCE:g}: the service computes these networks with torch, which is slower"
)


def adopt(
    options: AdoptOptions, *, command: Sequence[str], say: Say = lambda _: None
) -> ModelMetrics:
    """
    Write a checkpoint from the files in the options, and return its figures.

    Args:
        command: What is recorded as having made it.
        say: Called with each thing that was found out.

    Raises:
        ValueError: Networks, options or data do not fit; nothing was written.
        OSError: A file cannot be read or written.
    """
    options.check()
    graphs = read_graph(options.encoder), read_graph(options.decoder)
    return adopt_graphs(*graphs, options, command=command, say=say)


def adopt_graphs(
    encoder: Graph,
    decoder: Graph,
    options: AdoptOptions,
    *,
    command: Sequence[str],
    say: Say,
) -> ModelMetrics:
    """
    Write a checkpoint from two graphs, as `adopt` does.

    Raises:
        ValueError: Networks, options or data do not fit; nothing was written.
        OSError: A file cannot be read or written.
    """
    _check_free(options)
    n_threads = options.threads or torch.get_num_threads()
    measured = _load_data(options)
    options = _with_shape(options, encoder, measured)
    adopted = assemble(encoder, decoder, options, measured=measured)
    for words in adopted.meanings:
        say(words)
    if measured is not None:
        _check_width(adopted.vae, measured, say)
    rows = None if measured is None else measured.prepared.validation
    difference = check_networks(adopted.vae, rows, n_threads=n_threads)
    if difference > TOLERANCE:
        say(_SLOWER.format(difference))
    fitted = _fit(adopted, measured, options)
    expected, compared = _compare(adopted, fitted, options, n_threads)
    found = [*_fits(fitted, adopted, options), *compared]
    for sentence in found:
        say(sentence)
    training = [
        "The networks were trained elsewhere and adopted from ONNX files.",
        *(f"Outputs of the {words}." for words in adopted.meanings),
        *found,
    ]
    return publish(
        fitted,
        options,
        measured=measured,
        expected=expected,
        training=" ".join(training),
        command=command,
    )


def _check_free(options: AdoptOptions) -> None:
    if options.out.exists() and not options.overwrite:
        raise ValueError(f"--out {options.out} exists: give --overwrite to replace it")


def _load_data(options: AdoptOptions) -> MeasuredData | None:
    """Load and prepare the data, if they are given."""
    if options.data is None:
        return None
    dataset = data.load(options.data, data_dir=options.data_dir)
    likelihood = LIKELIHOODS[options.likelihood]
    default = default_binarization(dataset, likelihood)
    prepared = prepare(
        dataset,
        likelihood=likelihood,
        # Dynamic binarization is for training.
        how=options.binarization or ("static" if default == "dynamic" else default),
        standardize=False,
        seed=options.test_seed,
    )
    return MeasuredData(dataset, prepared)


def _check_width(vae: VAE, measured: MeasuredData, say: Say) -> None:
    for note in measured.dataset.notes:
        say(note)
    n_values = measured.prepared.train.shape[1]
    if n_values != vae.config.data_dim:
        raise DataError(
            f"{measured.dataset.name} has {n_values} values in a row, the networks "
            f"have {vae.config.data_dim}"
        )


def _with_shape(
    options: AdoptOptions, encoder: Graph, measured: MeasuredData | None
) -> AdoptOptions:
    """Take the shape of the data for an encoder of flattened examples."""
    shape = encoder.rows.shape
    is_flat = shape is None or len(shape) == 2
    if measured is None or options.data_shape is not None or not is_flat:
        return options
    return replace(options, data_shape=measured.dataset.data_shape)


def _fit(adopted: Adopted, measured: MeasuredData | None, options: AdoptOptions) -> VAE:
    """Fit sigma and the prior to the training rows, where the options say so."""
    vae, seed = adopted.vae, options.test_seed
    if measured is None:
        return vae
    x = measured.prepared.train
    if adopted.sigma is not None and adopted.sigma.startswith("fit"):
        per_dim = adopted.sigma == "fit_per_dim"
        set_log_var(vae, fit_log_var(vae, x, per_dim=per_dim, seed=seed))
    if options.prior == "fit":
        vae = with_fitted_prior(vae, x, n_components=options.components, seed=seed)
    return vae


def _compare(
    adopted: Adopted, vae: VAE, options: AdoptOptions, n_threads: int
) -> tuple[Expected | None, list[str]]:
    if options.expect is None:
        return None, []
    expected = read_expected(options.expect, vae, adopted.examples, options.input_range)
    found = check_expected(vae, expected, n_threads=n_threads)
    n = len(expected.x)
    return expected, [f"On {n} rows from its own framework, {found}."]


def _fits(vae: VAE, adopted: Adopted, options: AdoptOptions) -> list[str]:
    """Say what was not in the networks."""
    words = []
    if adopted.sigma is not None:
        how = {"fit": "fitted to", "fit_per_dim": "fitted for each value to"}
        given = f"declared as {adopted.sigma} in the networks' units"
        data_set = f"the training rows of {options.data}"
        fit = f"{how.get(adopted.sigma)} {data_set}"
        words.append(
            f"The standard deviation of p(x|z) is "
            f"{fit if adopted.sigma in how else given}."
        )
    if options.prior == "fit":
        n = vae.config.n_components
        what = "one Gaussian" if n == 1 else f"a mixture of {n} Gaussians"
        words.append(
            f"The prior is {what} fitted to q(z|x) of the training rows of "
            f"{options.data}; the networks were trained with another one."
        )
    return words
