"""Requests that were right once, mutated: each is answered, and none with a defect."""

import json
import random
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from app.open_inference.models import MODELS
from tests.app.open_inference.tensors import LENGTH, tensor
from tests.app.served import Served
from tests.app.wire.mutations import MAX, MUTATIONS

N = 1500
ANSWERED = {200, 413, 422, 429, 503}


def originals() -> Sequence[tuple[str, bytes, bytes]]:
    """Return a model, a right document for it, and the bytes that follow it."""
    draws = np.random.default_rng(1)
    x = draws.random((2, 4, 4)).round(3).astype(np.float32)
    z = draws.normal(size=(2, 3)).round(3).astype(np.float32)
    n = np.array([3], np.int64)
    found = []
    for model, name, values in (
        ("vae-elbo", "x", x.round()),
        ("vae-decode", "z", z),
        ("vae-sample", "n", n),
    ):
        size = {"binary_data_size": values.nbytes}
        flat, nested = values.reshape(-1).tolist(), values.tolist()
        for members, data in (
            ({"data": flat}, b""),
            ({"data": nested}, b""),
            ({"parameters": size}, values.tobytes()),
        ):
            document = {
                "id": "a",
                "inputs": [tensor(name, values, **members)],
                "parameters": {"binary_data_output": bool(data)},
            }
            found.append((model, json.dumps(document).encode(), data))
    outputs = [{"name": "mu", "parameters": {"binary_data": True}}]
    document = {"outputs": outputs, "inputs": [tensor("x", x, data=x.tolist())]}
    return [*found, ("vae-encode", json.dumps(document).encode(), b"")]


@pytest.mark.slow("tries many mutations")
def test_mutated_requests_are_answered(bernoulli: Served) -> None:
    """Whatever has happened to the document, to what follows it or to its length."""
    generator = random.Random(7)
    known = originals()
    statuses = Counter[int]()

    for _ in range(N):
        model, document, data = generator.choice(known)
        length = len(document)
        for _ in range(generator.choice((0, 1, 1, 2, 3))):
            mutation = generator.choice(MUTATIONS)
            where = generator.randrange(MAX), generator.randrange(MAX)
            document = mutation(document, *where)
        if generator.random() < 0.7:
            length = len(document)
        headers = {LENGTH: str(length)} if data or generator.random() < 0.2 else {}
        if generator.random() < 0.2:
            model = generator.choice([*MODELS])
        response = bernoulli.post_raw(
            f"/v2/models/{model}/infer", document + data, headers
        )
        statuses[response.status_code] += 1
        assert response.status_code in ANSWERED, (model, document[:300], response.text)

    assert statuses[200] > 50
    assert statuses[422] > 500
