"""The model card, `README.md` of a checkpoint."""

import shlex
from collections.abc import Iterable, Sequence
from string import Template

from model.checkpoint.manifest import (
    ColumnFit,
    Figure,
    LatentUse,
    ModelMetrics,
    Provenance,
)
from model.config import Config, describe
from model.data_config import Data
from model.vae import VAE

_TEMPLATE = Template(
    """\
# $name: a variational autoencoder

$description
$training

$verdict## Figures

$figures

The ELBO is a lower bound on log p(x): higher is better. Every value is a mean over the
examples of the split, in nats per example, without any weight on the KL. Figures of
different binarizations cannot be compared. The amortization gap is what q optimized for
each example alone would add to its ELBO.

$latent_use$columns$pictures## Data

$source.
Values were divided by $divided_by; binarization: $binarization; standardized:
$standardized.$units

## Made by

    $command

$choices$libraries; $created.

## Serve it

    vae-serve path/to/this/directory
"""
)

_CAPTIONS = {
    "learning_curve.png": "ELBO by epoch",
    "reconstructions.png": "Held-out examples above their reconstructions",
    "samples.png": "Samples: E[x|z] for z from the prior",
    "manifold.png": "The latent plane, in quantiles of the prior",
}


def card(
    vae: VAE,
    *,
    metrics: ModelMetrics,
    provenance: Provenance,
    training: str,
    pictures: Iterable[str],
    verdict: Sequence[str] = (),
    choices: Sequence[str] = (),
) -> str:
    """
    Write the card of a trained model.

    Args:
        training: One sentence about the origin of the weights.
        pictures: Names of attached files.
        verdict: Lines that judge the run.
        choices: Lines that say which options were chosen and why.
    """
    config, use = vae.config, metrics.latent_use
    return _TEMPLATE.substitute(
        name=config.data.name,
        description=_description(vae),
        training=training,
        verdict=_verdict(verdict),
        choices="".join(f"{line}\n\n" for line in choices),
        figures=_table(metrics.figures),
        latent_use="" if use is None else f"## Latents\n\n{_latents(use)}\n\n",
        columns=_columns(vae, metrics),
        pictures="".join(
            f"![{_CAPTIONS[p]}]({p})\n\n{_CAPTIONS[p]}.\n\n" for p in pictures
        ),
        source=provenance.dataset_source,
        divided_by=f"{config.data.divided_by:g}",
        binarization=config.data.binarization,
        standardized="yes" if config.data.standardized else "no",
        units=_units(config.data),
        command=shlex.join(provenance.command),
        libraries=", ".join(f"{k} {v}" for k, v in provenance.libraries.items()),
        created=provenance.created,
    )


def _units(data: Data) -> str:
    words = ", ".join(map(_plain, data.unit_words.values()))
    return f" Units: {words}." if words else ""


def _verdict(lines: Sequence[str]) -> str:
    if not lines:
        return ""
    return "## Verdict\n\n" + "".join(f"- {line}\n" for line in lines) + "\n"


def _latents(use: LatentUse) -> str:
    if use.kl_per_dim is None:
        return f"{use.verdict}\n\n({use.split}, {use.n_examples:,} examples.)"
    spectrum = ", ".join(f"{kl:.2f}" for kl in sorted(use.kl_per_dim, reverse=True))
    return (
        f"{use.verdict}\n\nKL of each dimension, the most used one first, in nats: "
        f"{spectrum} ({use.split}, {use.n_examples:,} examples)."
    )


def _columns(vae: VAE, metrics: ModelMetrics) -> str:
    """Return the columns of a table: their kinds and how well they are described."""
    table = vae.config.table
    if table is None:
        return ""
    fits = {fit.name: fit for fit in metrics.columns or ()}
    lines = [
        "| column | kind | why | marginal | model | known cells |",
        "|---|---|---|---|---|---|",
    ]
    for column in table.columns:
        fit = fits.get(column.name)
        figures = "- | - | -" if fit is None else _figures(fit)
        name = _plain(column.name)
        lines.append(f"| {name} | {column.kind} | {_plain(column.why)} | {figures} |")
    left_out = "".join(
        f"\nLeft out: {_plain(c.name)}, {_plain(c.why)}.\n" for c in table.left_out
    )
    return (
        "## Columns\n\n" + "\n".join(lines) + "\n\nMarginal: the mean of log p of a "
        "known cell under the column's marginal. Model: under p(cell|z), z from q(z|x) "
        "of a row that has the cell; the KL is paid once for all columns. In nats, on "
        f"validation.\n{left_out}\n"
    )


def _plain(text: str) -> str:
    """Return text of a file for a cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|")


def _figures(fit: ColumnFit) -> str:
    stuck = " (at its marginal)" if fit.is_at_marginal else ""
    return f"{fit.marginal:.3f} | {fit.model:.3f}{stuck} | {fit.n_known}"


def _description(vae: VAE) -> str:
    config = vae.config
    n_theta = sum(parameter.numel() for parameter in vae.theta)
    n_phi = sum(parameter.numel() for parameter in vae.phi)
    return (
        f"x has shape {list(config.data_shape)}, z has {config.latent_dim} dimensions. "
        f"Encoder: {describe(config.encoder)}, {n_phi:,} parameters (phi). "
        f"Decoder: {describe(config.decoder)}, {n_theta:,} parameters (theta), "
        f"{config.likelihood.kind} likelihood. {_prior(config)}"
    )


def _prior(config: Config) -> str:
    n = config.n_components
    return {
        "standard_normal": "Prior: standard normal.",
        "gaussian_mixture": f"Prior: a mixture of {n} Gaussians, learned.",
        "vamp": f"Prior: the mean of q(z|u) over {n} pseudo-inputs u, learned "
        "(VampPrior, Tomczak & Welling 2018).",
    }[config.prior.kind]


def _table(figures: Iterable[Figure]) -> str:
    head = (
        "| figure | value | standard error | split | examples | binarization | K | "
        "noise seed | training runs | spread |\n" + "|---" * 10 + "|\n"
    )
    return head + "\n".join(
        f"| {f.name} | {amount(f)} | {_number(f.standard_error)} | {f.split} "
        f"| {f.n_examples} | {f.binarization} | {_number(f.n_samples)} "
        f"| {_number(f.noise_seed)} | {f.n_seeds} | {_number(f.spread)} |"
        for f in figures
    )


def amount(figure: Figure) -> str:
    """Format a value with its units: nats with decimals, a count without."""
    return f"{figure.value:.{3 if figure.units == 'nats' else 0}f} {figure.units}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
