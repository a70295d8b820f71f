"""
Bodies of every format, mutated, to every call.

Run `python -m tests.app.wire.fuzz --n 50000`.

What is sent is a function of the seed. A service of a tiny model of images is started
for it. It must answer everything, never 5xx but 503, spend less than a second of
processor time on any answer but those of analyses, and need no more memory in the end
than after its start. That is time of the processor, so that another load on the machine
changes nothing.
"""

import argparse
import http.client
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors.numpy import save

from tests.app.pictures import chunk, header, image_model
from tests.app.processes import SECONDS, process
from tests.app.wire.mutations import JSON, MAX, MUTATIONS, SAFETENSORS, Case, cases

SHAPE = (4, 4)
LATENT_DIM = 3
MAX_CPU_SECONDS = 1.0
MAX_GROWTH_MIB = 64
WARM = 0.2  # the share of the bodies after which memory is looked at first
# What an analysis costs is limited, so that many are asked for.
SETTINGS = {"VAE_MAX_DRAWS": "1024", "VAE_MAX_ANALYSIS_ROWS": "8", "VAE_MAX_ROWS": "64"}
QUERIES = (
    *("", "", "", "seed=3", "n_samples=2", "n=3", "resize=true", "binarize=sample"),
    *(
        "seed=-1",
        "seed=%ED%A0%80",
        "n=1e9",
        "x=1",
        "seed=1&seed=2",
        "%00=%ff",
        "n=9" * 9,
    ),
)
ACCEPTS = (JSON, SAFETENSORS, "application/x-npy", "image/png", "a/b")


class Call(NamedTuple):
    """One call with a body, as the description of the service has it."""

    path: str
    is_analysis: bool
    media_types: frozenset[str]
    examples: tuple[bytes, ...]


class Report(NamedTuple):
    """
    What came of it.

    Attributes:
        slowest: Seconds of processor time of an answer that is no analysis's.
        growth_mib: From after a fifth of the bodies to the end.
        faults: Answers that must not be, or none.
    """

    statuses: Counter[int]
    slowest: float
    growth_mib: float
    faults: list[str]


def originals() -> list[Case]:
    """Return right bodies for one call or another, and some that never are."""
    rng = np.random.default_rng(5)
    z = rng.standard_normal((2, LATENT_DIM)).astype(np.float32)
    rows = json.dumps({"z": z.tolist(), "seed": 3}).encode()
    return [
        *cases(SHAPE),
        Case("JSON", JSON, rows),
        Case("JSON", JSON, b'{"n": 3, "seed": 1, "temperature": 0.5}'),
        Case("JSON", JSON, b'{"\\ud800": 1}'),
        Case("JSON", JSON, b'{"x":[[1' + b" " * 200_000 + b"]]}"),
        Case("JSON", JSON, b'{"x":[' + b"[]," * 100_000 + b"[]]}"),
        Case("safetensors", SAFETENSORS, save({"z": z})),
        Case("JPEG", "image/jpeg", b"\xff\xd8" + b"\xff\xfe\0\2" * 50_000),
        Case(
            "PNG",
            "image/png",
            b"\x89PNG\r\n\x1a\n" + header(4, 4) + chunk(b"tEXt") * 20_000,
        ),
    ]


def calls(description: dict[str, Any]) -> list[Call]:
    """Return every call that takes a body."""
    found = []
    for path, methods in description["paths"].items():
        content = methods.get("post", {}).get("requestBody", {}).get("content", {})
        if not content:
            continue
        media = content.get(JSON, {})
        given = [one.get("value") for one in media.get("examples", {}).values()]
        given += [media["example"]] if "example" in media else []
        examples = tuple(json.dumps(one).encode() for one in given)
        is_analysis = "operations" not in methods["post"].get("tags", [])
        found.append(Call(path, is_analysis, frozenset(content), examples))
    return found


def mutated(originals: Sequence[Case], generator: random.Random) -> Case:
    """Return a case, mostly one whose body some mutations have changed."""
    case = generator.choice(originals)
    body = case.body
    for _ in range(generator.choice((0, 1, 1, 2, 3, 4))):
        mutation = generator.choice(MUTATIONS)
        body = mutation(body, generator.randrange(MAX), generator.randrange(MAX))
    if generator.random() < 0.1:  # the head of one body and the tail of another
        other = generator.choice(originals).body
        at = generator.randrange(len(other) + 1)
        body = body[: generator.randrange(len(body) + 1)] + other[at:]
    return case._replace(body=body)


def requests(
    described: Sequence[Call], seed: int
) -> Iterator[tuple[Call, str, bytes, dict[str, str]]]:
    """Yield a call, its target, a body and headers, without end."""
    generator = random.Random(seed)
    known = originals()
    while True:
        call = generator.choice(described)
        examples = [Case("JSON", JSON, body) for body in call.examples]
        use_example = examples and generator.random() < 0.25
        fitting = [one for one in known if one.media_type in call.media_types]
        if generator.random() < 0.05:
            fitting = known
        case = mutated(examples if use_example else fitting, generator)
        query = generator.choice((case.query.decode(), generator.choice(QUERIES)))
        media_type = case.media_type
        if generator.random() < 0.02:
            media_type = generator.choice(known).media_type
        accept = generator.choice(ACCEPTS) if generator.random() < 0.1 else "*/*"
        headers = {"content-type": media_type, "accept": accept}
        yield call, f"{call.path}?{query}", case.body, headers


def run(n: int, seed: int, seconds: float) -> Report:
    """Send so many bodies, or as many as there is time for."""
    with tempfile.TemporaryDirectory() as directory:
        model = image_model(Path(directory) / "model", "bernoulli", SHAPE)
        settings = {**SETTINGS, "VAE_CHECKPOINT": str(model), "VAE_DRAIN_DELAY": "0"}
        with process(settings) as (address, service):
            return _sent(address.removeprefix("http://"), service.pid, n, seed, seconds)


def _sent(address: str, pid: int, n: int, seed: int, seconds: float) -> Report:
    connection = http.client.HTTPConnection(address, timeout=SECONDS)
    connection.request("GET", "/openapi.json")
    described = calls(json.loads(connection.getresponse().read()))
    end = time.monotonic() + seconds
    statuses: Counter[int] = Counter()
    slowest, before, faults = 0.0, None, []
    for i, (call, target, body, headers) in enumerate(requests(described, seed)):
        if i == n or time.monotonic() > end:
            break
        if i == int(WARM * n):
            before = _mib(pid)
        spent = _cpu_seconds(pid)
        try:
            connection.request("POST", target, body, headers)
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            status = 0
            faults.append(f"{i}: {target}: no answer, {type(error).__name__}")
        spent = _cpu_seconds(pid) - spent
        statuses[status] += 1
        if status >= 500 and status != 503:
            faults.append(f"{i}: {target}: {status}")
        if not call.is_analysis:
            slowest = max(slowest, spent)
            if spent > MAX_CPU_SECONDS:
                faults.append(f"{i}: {target}: {spent:.2f} s")
    growth = _mib(pid) - before if before is not None else 0.0
    if growth > MAX_GROWTH_MIB:
        faults.append(f"memory grew by {growth:.0f} MiB")
    connection.close()
    return Report(statuses, slowest, growth, faults)


def _cpu_seconds(pid: int) -> float:
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    user, system = text.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def main() -> int:
    """Send bodies and print what came of them; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--n", type=int, default=50_000, help="bodies (50000)")
    parser.add_argument("--seed", type=int, default=0, help="of what is sent (0)")
    parser.add_argument(
        "--seconds", type=float, default=1800, help="to end after, at most (1800)"
    )
    asked = parser.parse_args()
    started = time.monotonic()
    report = run(asked.n, asked.seed, asked.seconds)
    counts = ", ".join(f"{s}: {n:,}" for s, n in sorted(report.statuses.items()))
    sys.stdout.write(
        f"{report.statuses.total():,} bodies in {time.monotonic() - started:.0f} s, "
        f"seed {asked.seed}\n{counts}\n"
        f"slowest answer but of an analysis: {report.slowest:.2f} s of processor time\n"
        f"memory: {report.growth_mib:+.1f} MiB\n"
    )
    for fault in report.faults[:20]:
        sys.stderr.write(f"error: {fault}\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
