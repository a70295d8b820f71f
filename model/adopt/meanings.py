"""What the outputs of a network mean: declared, or found by their names."""

import re
from collections.abc import Mapping, Sequence

ENCODER = {
    "mu": "mu mean zmean zmu loc zloc muz qmu means embedding latentmean",
    "log_var": "logvar zlogvar logvariance logcovariance logvarz qlogvar zlogvariance "
    "logsigma2 logsigmasquared zlogsigmasquared latentlogvar",
    "log_sigma": "logsigma logstd zlogsigma zlogstd logscale logstddev",
    "sigma": "sigma std stddev scale zsigma zstd zstddev zscale qsigma",
    "mu_log_var": "mulogvar meanlogvar moments parameters params",
    "mu_log_sigma": "mulogsigma meanlogstd",
    "mu_sigma": "musigma meanstd",
}
DECODER = {
    "logits": "logits logit eta xlogits reconlogits reconstructionlogits",
    "probabilities": "probabilities probability probs prob",
    "mean": "mean mu xmean loc xloc muX xmu",
    "log_var": "logvar xlogvar logvariance logvarx",
    "log_sigma": "logsigma logstd xlogsigma logscale",
    "sigma": "sigma std stddev scale xsigma xstd",
    "reconstruction": "reconstruction recon xhat reconx xrecon xreconstructed decoded "
    "output outputs y x reconstructed",
}
_SPREADS = ("log_var", "log_sigma", "sigma")
_ENCODER_SETS = (
    *(("mu", spread) for spread in _SPREADS),
    *((f"mu_{spread}",) for spread in _SPREADS),
)
_DECODER_SETS = (
    ("logits",),
    ("probabilities",),
    ("reconstruction",),
    ("mean",),
    *(("mean", spread) for spread in _SPREADS),
)


def of_encoder(outputs: Sequence[str], declared: Sequence[str]) -> dict[str, str]:
    """
    Return the name of the output for each meaning of an encoder.

    Raises:
        ValueError: What an output means is not clear; the message says how to declare.
    """
    return _found("encoder", outputs, declared, ENCODER, _ENCODER_SETS)


def of_decoder(outputs: Sequence[str], declared: Sequence[str]) -> dict[str, str]:
    """
    Return the name of the output for each meaning of a decoder.

    A single output of any other name is a `reconstruction`, of which the likelihood and
    the last node must tell more.

    Raises:
        ValueError: What an output means is not clear; the message says how to declare.
    """
    if not declared and len(outputs) == 1 and not _by_name(outputs, DECODER):
        return {"reconstruction": outputs[0]}
    return _found("decoder", outputs, declared, DECODER, _DECODER_SETS)


def _found(
    network: str,
    outputs: Sequence[str],
    declared: Sequence[str],
    names: Mapping[str, str],
    sets: Sequence[tuple[str, ...]],
) -> dict[str, str]:
    if declared:
        found = _declared(network, outputs, declared, names)
    else:
        found = _by_name(outputs, names)
    for wanted in sets:
        if set(wanted) == found.keys():
            return found
    known = " or ".join(" with ".join(each) for each in sets)
    raise ValueError(
        f"the {network}'s outputs {_listed(outputs)} are taken for "
        f"{_listed(found) if found else 'nothing'}; expected {known}. Declare them by "
        f"name or by place from 0: --{network}-outputs {sets[0][0]}=0 ..."
    )


def _declared(
    network: str,
    outputs: Sequence[str],
    declared: Sequence[str],
    names: Mapping[str, str],
) -> dict[str, str]:
    found: dict[str, str] = {}
    for pair in declared:
        meaning, _, name = pair.partition("=")
        if name not in outputs and name in map(str, range(len(outputs))):
            name = outputs[int(name)]
        if meaning not in names or meaning in found or name not in outputs:
            raise ValueError(
                f"--{network}-outputs: expected one of {', '.join(names)}, then = and "
                f"one of the outputs {_listed(outputs)} or its place from 0, "
                f"got {pair[:160]!r}"
            )
        if name in found.values():
            raise ValueError(
                f"--{network}-outputs: the output {name[:80]!r} is declared twice, "
                f"last by {pair[:160]!r}"
            )
        found[meaning] = name
    return found


def _by_name(outputs: Sequence[str], names: Mapping[str, str]) -> dict[str, str]:
    """Return what is known by its name; other outputs, such as a draw, are dropped."""
    found: dict[str, str] = {}
    for output in outputs:
        plain = re.sub(r"[^a-z0-9]", "", output.lower())
        for meaning, known in names.items():
            if plain in known.lower().split() and meaning not in found:
                found[meaning] = output
    return found


def _listed(names: Sequence[str] | Mapping[str, str]) -> str:
    return ", ".join(repr(name[:80]) for name in list(names)[:8])
