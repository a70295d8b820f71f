"""
Judge synthetic rows by sdmetrics, scikit-learn and distances to the training rows.

    PYTHON -m benchmarks.peers.table_quality TRAIN.csv TEST.csv ROWS.csv --target NAME

Run it with a Python of its own that has sdmetrics and scikit-learn. It prints JSON.
"""

import argparse
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from sdmetrics.reports.single_table import QualityReport
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.metrics import accuracy_score, r2_score, roc_auc_score
from sklearn.neighbors import NearestNeighbors

_MOST_ROWS, _MOST_NEIGHBORS = 4000, 1000
_COMMON = 0.01  # the share of a category that must appear


def is_category(column: pd.Series) -> bool:
    """Return whether a column of the training rows has categories: texts, or two."""
    return column.dtype.kind not in "if" or column.nunique() <= 2


def kinds(train: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the kind of every column, in the words of SDV."""
    return {
        name: {"sdtype": "categorical" if is_category(column) else "numerical"}
        for name, column in train.items()
    }


def quality(train: pd.DataFrame, rows: pd.DataFrame) -> float:
    """Return the overall score of sdmetrics, between 0 and 1."""
    real, synthetic = (
        frame.sample(min(_MOST_ROWS, len(frame)), random_state=1, ignore_index=True)
        for frame in (train, rows)
    )
    report = QualityReport()
    report.generate(real, synthetic, {"columns": kinds(train)}, verbose=False)
    return float(report.get_score())


def missed(train: pd.DataFrame, rows: pd.DataFrame) -> list[str]:
    """Return the categories with a share of 1 % that no row has."""
    found = []
    for name, column in train.items():
        if is_category(column):
            shares = column.value_counts() / len(column)
            common = set(shares.index[shares >= _COMMON])
            found += [f"{name}: {c}" for c in common - set(rows[name].dropna())]
    return found


class Features:
    """A frame as numbers: ranks among the training rows, and codes of categories."""

    def __init__(self, train: pd.DataFrame) -> None:
        self._train = train

    def codes(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return numbers as they are, categories as codes, NaN where missing."""
        found = {}
        for name, column in self._train.items():
            if is_category(column):
                levels = sorted(column.dropna().unique())
                codes = pd.Categorical(frame[name], categories=levels).codes
                found[name] = np.where(codes < 0, np.nan, codes)
            else:
                found[name] = frame[name].astype(float).to_numpy()
        return pd.DataFrame(found)

    def places(self, frame: pd.DataFrame) -> np.ndarray:
        """Return numbers whose Manhattan distance is 0 to 1 for each column."""
        found = []
        for name, column in self._train.items():
            cells = frame[name]
            if is_category(column):
                levels = pd.Categorical(
                    cells, categories=sorted(column.dropna().unique())
                )
                found.append(0.5 * pd.get_dummies(levels, dummy_na=True).to_numpy())
            else:
                sorted_ = np.sort(column.dropna().to_numpy(float))
                x = cells.to_numpy(float)
                ends = [np.searchsorted(sorted_, x, side) for side in ("left", "right")]
                rank = (ends[0] + ends[1]) / (2 * max(1, len(sorted_)))
                gap = np.isnan(x)
                found.append(np.stack([np.where(gap, 0.5, rank), 0.5 * gap], axis=1))
        return np.concatenate(found, axis=1).astype(np.float32)


def utility(
    train: pd.DataFrame, rows: pd.DataFrame, test: pd.DataFrame, target: str
) -> float:
    """Return AUC, accuracy or R^2 on test rows of boosted trees fitted to rows."""
    features = Features(train)
    rows, test = (frame[frame[target].notna()] for frame in (rows, test))
    x, x_test = (features.codes(f).drop(columns=target) for f in (rows, test))
    y, y_test = rows[target], test[target]
    if not is_category(train[target]):
        tree = HistGradientBoostingRegressor(random_state=0).fit(x, y)
        return float(r2_score(y_test, tree.predict(x_test)))
    tree = HistGradientBoostingClassifier(random_state=0).fit(x, y)
    if len(tree.classes_) == 2:
        score = tree.predict_proba(x_test)[:, 1]
        return float(roc_auc_score(y_test == tree.classes_[1], score))
    return float(accuracy_score(y_test, tree.predict(x_test)))


def distances(train: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Return the distance of each row to the nearest training row."""
    features = Features(train)
    search = NearestNeighbors(n_neighbors=1, metric="manhattan", algorithm="brute")
    search.fit(features.places(train))
    some = rows.sample(min(_MOST_NEIGHBORS, len(rows)), random_state=1)
    found: np.ndarray = search.kneighbors(features.places(some))[0][:, 0]
    return found


def main() -> None:
    """Print the figures of some rows, and those of the test rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("train", "test", "rows"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--target", required=True)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    train, test, rows = (
        pd.read_csv(path) for path in (arguments.train, arguments.test, arguments.rows)
    )
    near, near_test = distances(train, rows), distances(train, test)
    figures = {
        "quality": quality(train, rows),
        "quality_of_test": quality(train, test),
        "missed": missed(train, rows),
        "utility": utility(train, rows, test, arguments.target),
        "utility_of_train": utility(train, train, test, arguments.target),
        "copies": float((near == 0).mean()),
        "copies_of_test": float((near_test == 0).mean()),
        "distance": float(np.median(near)),
        "distance_of_test": float(np.median(near_test)),
        "closer": float((near < np.quantile(near_test, 0.05)).mean()),
    }
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
