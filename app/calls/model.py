"""GET /model: a description of the served model."""

from collections.abc import Sequence

from app.call_parts.call import Call, Endpoint, available_formats, get
from app.call_parts.document import StaticDocument
from app.call_parts.model_card import (
    Card,
    Compute,
    LikelihoodCard,
    Limits,
    MediaTypes,
    OriginCard,
    Parameters,
    PriorCard,
)
from app.call_parts.served_model import ServedModel
from app.version import service_version
from model.engine import Engine

THETA = (
    "θ (theta) are the weights and biases of the decoder, the parameters of "
    "p_θ(x|z) p(z). The true posterior p_θ(z|x) = p_θ(x|z) p(z) / p_θ(x) carries θ "
    "because every factor with a parameter in it is the decoder. It is not a "
    "distribution over θ."
)
PHI = (
    "φ (phi) are the weights and biases of the encoder, the variational parameters "
    "that training optimizes (AEVB App. C.2). μ(x) and σ²(x) are functions of x and φ "
    "(App. B): the local parameters of q_φ(z|x) for one datapoint. Classic variational "
    "inference optimizes the local ones; a VAE amortizes them through φ. What sharing "
    "φ costs, in nats, is the amortization gap."
)


_LEARNED = "The prior is learned: what it is made of belongs to θ as well."
_PRIORS = {
    "standard_normal": "p(z) = N(z; 0, I), a standard normal.",
    "gaussian_mixture": (
        "p(z) is a mixture of Gaussians of diagonal covariance. Its weights, means and "
        "variances are learned."
    ),
    "vamp": (
        "A VampPrior (Tomczak & Welling 2018): p(z) is the mean of q_φ(z|u) over "
        "pseudo-inputs u, which are learned. So p(z), and with it the true posterior, "
        "carries φ as well."
    ),
}


@get("/model", summary="The served model", response=Card)
def model(served: ServedModel, calls: Sequence[Call]) -> Endpoint:
    """Describe the served model: shapes, likelihood, θ and φ, limits, figures."""
    return StaticDocument(card(served, calls).model_dump_json().encode())


def card(served: ServedModel, calls: Sequence[Call]) -> Card:
    """Return the description of a served model."""
    checkpoint, engine, settings = served.checkpoint, served.engine, served.settings
    config, vae = checkpoint.config, checkpoint.vae
    return Card(
        name=settings.checkpoint.name,
        version=checkpoint.version,
        sha256=checkpoint.sha256,
        service_version=service_version(),
        format_version=config.format_version,
        data_shape=config.data_shape,
        latent_dim=config.latent_dim,
        likelihood=_likelihood(engine),
        prior=_prior(engine),
        binarization=config.data.binarization,
        divided_by=config.data.divided_by,
        columns=config.data.columns,
        column_units=config.data.column_units,
        table=config.table,
        divisors={str(name): d for name, d in config.data.divisors.items()},
        value_range=served.reader.raw.value_range,
        data_dtype="float64" if served.has_wide_data else "float32",
        theta=_theta(engine),
        phi=Parameters(n_parameters=sum(p.numel() for p in vae.phi), what=PHI),
        units="nats",
        compute=Compute(
            device=engine.device,
            backend=engine.backend,
            batch_invariant=engine.batch_invariant,
        ),
        limits=Limits(**settings.model_dump(include=set(Limits.model_fields))),
        media_types=_media_types(calls, served),
        figures=checkpoint.metrics.figures,
        latent_use=checkpoint.metrics.latent_use,
        provenance=OriginCard(
            **checkpoint.manifest.provenance.model_dump(
                include=set(OriginCard.model_fields)
            )
        ),
    )


def _likelihood(engine: Engine) -> LikelihoodCard:
    family = engine.checkpoint.vae.likelihood
    return LikelihoodCard(
        kind=family.kind, support=family.support, value_range=family.value_range
    )


def _media_types(calls: Sequence[Call], served: ServedModel) -> dict[str, MediaTypes]:
    return {
        call.id: MediaTypes(
            request=[one.name for one in available_formats(call.reads, served.facts)],
            response=[one.name for one in available_formats(call.writes, served.facts)],
        )
        for call in calls
        if call.tag != "service"
    }


def _theta(engine: Engine) -> Parameters:
    n_parameters = sum(p.numel() for p in engine.checkpoint.vae.theta)
    what = THETA if engine.kl_adds_up else f"{THETA} {_LEARNED}"
    return Parameters(n_parameters=n_parameters, what=what)


def _prior(engine: Engine) -> PriorCard:
    config, moments = engine.config, engine.prior_moments
    return PriorCard(
        kind=config.prior.kind,
        n_components=config.n_components,
        mean=moments.mean.tolist(),
        standard_deviation=moments.standard_deviation.tolist(),
        what=_PRIORS[config.prior.kind],
    )
