"""
Compare an epoch of `model.train` with the same network in the usual PyTorch loop.

    python -m benchmarks.training --data-dir path/to/mnist --threads 1 --write

The network is that of AEVB for MNIST: 784-500-20-500-784, tanh, Bernoulli, batches of
100, Adam at 1e-3. The usual loop is that of PyTorch's VAE example (pytorch/examples,
vae/main.py): a `DataLoader` that shuffles and collates per-item tensors, with no
workers on a CPU; `binary_cross_entropy` of the sigmoid's output and the KL, both
summed; `Adam` as it comes; `loss.item()` at every step. It runs twice: over items as
the example has them, each made a PIL image and then a tensor as torchvision does, and
over tensors made before.

All start from the same weights and take turns, an epoch each, so that other load on the
machine affects all. The first epoch of each is a warm-up and is not counted.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy
from torch.utils.data import DataLoader, Dataset

from benchmarks.results import circumstances, table, write_section
from model import data
from model.data.preparation import Prepared, prepare
from model.dataset_elbo import estimate_elbo
from model.likelihoods import LIKELIHOODS
from model.train.assembly import configure, start
from model.train.fit import Run, fit
from model.train.options import RunOptions
from model.train.places import Places
from model.train.state import State

_SECTION = "Training"
_BAR = 3.0
_N_SYNTHETIC = 12_000

Item = tuple[Tensor, int]


class PilItems(Dataset[Item]):
    """As `torchvision.datasets.MNIST` with the transform `ToTensor` has them."""

    def __init__(self, x: NDArray[np.float32]) -> None:
        self.images = torch.from_numpy((255 * x).astype(np.uint8).reshape(-1, 28, 28))
        self.labels = torch.zeros(len(x), dtype=torch.long)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        image, label = self.images[index], int(self.labels[index])
        picture = Image.fromarray(image.numpy(), mode="L")
        pixels = torch.from_numpy(np.array(picture, np.uint8, copy=True))
        pixels = pixels.view(picture.size[1], picture.size[0], 1)
        return pixels.permute((2, 0, 1)).contiguous().to(torch.float32).div(255), label


class TensorItems(Dataset[Item]):
    """Tensors that were made before training began."""

    def __init__(self, x: NDArray[np.float32]) -> None:
        self.images = torch.from_numpy(x).reshape(-1, 1, 28, 28)
        self.labels = torch.zeros(len(x), dtype=torch.long)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Item:
        return self.images[index], int(self.labels[index])


class Example(nn.Module):
    """The example's module, with the widths and activations of the comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 500)
        self.fc21 = nn.Linear(500, 20)
        self.fc22 = nn.Linear(500, 20)
        self.fc3 = nn.Linear(20, 500)
        self.fc4 = nn.Linear(500, 784)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h1 = torch.tanh(self.fc1(x.view(-1, 784)))
        mu, log_var = self.fc21(h1), self.fc22(h1)
        std = torch.exp(0.5 * log_var)
        z = mu + torch.randn_like(std) * std
        return torch.sigmoid(self.fc4(torch.tanh(self.fc3(z)))), mu, log_var


_NAMES = {
    "fc1": "encoder.torso.0",
    "fc21": "encoder.mu",
    "fc22": "encoder.log_var",
    "fc3": "decoder.torso.0",
    "fc4": "decoder.eta",
}


@dataclass
class Usual:
    """The usual loop over one kind of items."""

    name: str
    items: Dataset[Item]
    model: Example = field(default_factory=Example)
    speeds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Set up what stands before the example's loop."""
        self.loader = DataLoader(self.items, batch_size=100, shuffle=True)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)

    def begin_from(self, weights: dict[str, Tensor]) -> None:
        """Take over the weights ours begins with."""
        self.model.load_state_dict(
            {
                f"{theirs}.{part}": weights[f"{ours}.{part}"]
                for theirs, ours in _NAMES.items()
                for part in ("weight", "bias")
            }
        )

    def train(self) -> None:
        """Take an epoch as the example does, and note its speed."""
        started = time.perf_counter()
        self.model.train()
        train_loss = 0.0
        n = 0
        for x, _ in self.loader:
            self.optimizer.zero_grad()
            p, mu, log_var = self.model(x)
            loss = _loss_function(p, x, mu, log_var)
            loss.backward()  # type: ignore[no-untyped-call]  # untyped in torch
            train_loss += loss.item()
            self.optimizer.step()
            n += len(x)
        self.speeds.append(n / (time.perf_counter() - started))

    def weights(self) -> dict[str, Tensor]:
        """Return its weights under the names of ours."""
        return {
            f"{_NAMES[name.partition('.')[0]]}.{name.partition('.')[2]}": w.detach()
            for name, w in self.model.state_dict().items()
        }


def _loss_function(p: Tensor, x: Tensor, mu: Tensor, log_var: Tensor) -> Tensor:
    cross_entropy = binary_cross_entropy(p, x.view(-1, 784), reduction="sum")
    kl = -0.5 * torch.sum(1 + log_var - mu.pow(2) - log_var.exp())
    return cross_entropy + kl


@dataclass
class Contest:
    """Ours and the others, epoch by epoch in turn."""

    options: RunOptions
    prepared: Prepared
    state: State
    others: Sequence[Usual]
    say: Callable[[str], None]
    speeds: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Train everything; the others have their turn after each epoch of ours."""
        for usual in self.others:
            usual.begin_from(self.state.vae.state_dict())
        places = Places.of(self.options)
        places.clear()
        fit(
            self.state,
            self.prepared,
            self.options,
            Run(
                places=places,
                identity={},
                stopped=lambda: False,
                on_step=lambda: None,
                on_epoch=self._turn,
            ),
        )

    def elbo(self, weights: dict[str, Tensor]) -> float:
        """Return the mean ELBO on validation, with the same noise for all."""
        x = torch.from_numpy(self.prepared.validation)
        evaluation = estimate_elbo(self.state.model(weights), x, n_samples=8, seed=0)
        return float(evaluation.bound.mean())

    def _turn(self, line: dict[str, Any]) -> None:
        self.speeds.append(line["examples_per_second"])
        for usual in self.others:
            usual.train()
        speeds = [self.speeds[-1], *(usual.speeds[-1] for usual in self.others)]
        self.say(f"epoch {line['epoch']}: " + ", ".join(f"{s:,.0f}/s" for s in speeds))


def main() -> None:
    """Run the contest and print its table."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as scratch:
        contest = _contest(arguments, Path(scratch))
        contest.run()
    text = _report(contest, arguments)
    print(f"\n## {_SECTION}\n\n{text}")
    if arguments.write:
        write_section(_SECTION, text)


def _contest(arguments: argparse.Namespace, scratch: Path) -> Contest:
    options = RunOptions(
        data=str(_synthetic(scratch)) if arguments.data_dir is None else "mnist",
        data_dir=arguments.data_dir,
        out=scratch / "run",
        binarization="static",
        learning_rate=1e-3,
        schedule="constant",
        ema=None,
        epochs=1 + arguments.epochs,
        compile=arguments.compile,
    )
    dataset = data.load(options.data, data_dir=options.data_dir)
    prepared = prepare(
        dataset,
        likelihood=LIKELIHOODS[options.likelihood],
        how=options.binarization,
        standardize=False,
        seed=0,
    )
    config = configure(options, dataset, prepared)
    return Contest(
        options=options,
        prepared=prepared,
        state=start(config, options, prepared, torch.device("cpu")),
        others=(
            Usual(
                "the example: PIL image to tensor per item", PilItems(prepared.train)
            ),
            Usual("the same over ready tensors", TensorItems(prepared.train)),
        ),
        say=print,
    )


def _synthetic(scratch: Path) -> Path:
    """Write gray images of 28 x 28 whose logits are linear in ten latents."""
    draw = np.random.default_rng(0)
    logits = draw.normal(size=(_N_SYNTHETIC, 10)) @ draw.normal(size=(10, 784))
    gray = 255 / (1 + np.exp(-logits))
    path = scratch / "synthetic.npy"
    np.save(path, gray.astype(np.uint8).reshape(-1, 28, 28))
    return path


def _report(contest: Contest, arguments: argparse.Namespace) -> str:
    ours = statistics.median(contest.speeds[1:])
    rows = [_row("`model.train`", contest.speeds, ours, contest.elbo(_copy(contest)))]
    for usual in contest.others:
        rows.append(_row(usual.name, usual.speeds, ours, contest.elbo(usual.weights())))
    n_train = len(contest.prepared.train)
    source = (
        "synthetic images (no --data-dir was given)"
        if arguments.data_dir is None
        else "MNIST, statically binarized with seed 0"
    )
    ratio = ours / statistics.median(contest.others[0].speeds[1:])
    return (
        f"{circumstances(('torch', 'numpy', 'pillow'))} {arguments.threads} threads; "
        f"{'compiled; ' if arguments.compile else ''}{source}, {n_train:,} rows. "
        "784-500-20-500-784, tanh, Bernoulli, batches of 100, Adam at 1e-3, the same "
        f"first weights. Speeds: median, least and most of {arguments.epochs} epochs "
        "after one of warm-up, the loops taking turns. ELBO: mean over the "
        f"{len(contest.prepared.validation):,} validation rows, K = 8, one noise for "
        "all.\n\n"
        + table(
            [
                *("loop", "examples/s", "least to most", "ours / this"),
                f"validation ELBO after {1 + arguments.epochs} epochs, nats",
            ],
            rows,
        )
        + f"\n\nThe bar is {_BAR:g} times the example: {ratio:.2f}, "
        + ("met." if ratio >= _BAR else "MISSED.")
    )


def _copy(contest: Contest) -> dict[str, Tensor]:
    return {name: weights.clone() for name, weights in contest.state.weights.items()}


def _row(name: str, speeds: Sequence[float], ours: float, elbo: float) -> list[str]:
    counted = speeds[1:]
    middle = statistics.median(counted)
    return [
        name,
        f"{middle:,.0f}",
        f"{min(counted):,.0f} to {max(counted):,.0f}",
        f"{ours / middle:.2f}",
        f"{elbo:.2f}",
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-dir", type=Path, help="folder with MNIST's IDX files")
    parser.add_argument("--epochs", type=int, default=5, help="after one of warm-up")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="ours with --compile")
    parser.add_argument("--write", action="store_true", help="into RESULTS.md")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, got {arguments.epochs}")
    return arguments


if __name__ == "__main__":
    main()
