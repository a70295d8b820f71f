"""
Fit SDV's TVAE to a CSV, and write as many rows of its own.

    PYTHON -m benchmarks.peers.tvae TRAIN.csv OUT.csv --epochs 300 --seed 0

Run it with a Python of its own that has sdv and sdmetrics.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sdv.metadata import Metadata
from sdv.single_table import TVAESynthesizer

from benchmarks.peers.table_quality import kinds


def main() -> None:
    """Fit and sample."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("train", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    np.random.seed(arguments.seed)  # noqa: NPY002  SDV draws from it
    torch.manual_seed(arguments.seed)
    frame = pd.read_csv(arguments.train)
    described = {"tables": {"table": {"columns": kinds(frame)}}, "relationships": []}
    metadata = Metadata.load_from_dict({**described, "METADATA_SPEC_VERSION": "V1"})
    synthesizer = TVAESynthesizer(metadata, epochs=arguments.epochs, enable_gpu=False)
    synthesizer.fit({"table": frame})
    rows = synthesizer.sample(len(frame))["table"]
    rows.to_csv(arguments.out, index=False)


if __name__ == "__main__":
    main()
