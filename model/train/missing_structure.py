"""Find which columns are missing together, and which column tells about them."""

import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import combinations
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from model.tables.missing_sets import MAX_GROUPS, MAX_PATTERNS, MissingSet, edges
from model.tables.schema import Codes, TableColumn, TableSchema

_Index = NDArray[np.int64]
_Bits = NDArray[np.bool_]

_MAX_ROWS = 1 << 16
_N_QUANTILES = 10  # groups of a column of numbers, besides its frequent values
_FREQUENT, _MOST_FREQUENT = 0.02, 20


@final
class _Grouped(NamedTuple):
    """A column without missing cells, in groups."""

    name: str
    cuts: tuple[float, ...]
    group: _Index


@final
class _Block(NamedTuple):
    """
    Columns that are one variable.

    Attributes:
        pattern: The number of the pattern that each row has.
        given: The column that tells most about the pattern; None if none does.
        gain: How much it tells, in nats of the information criterion.
    """

    columns: tuple[int, ...]
    pattern: _Index
    given: _Grouped | None
    gain: float


def missing_sets(schema: TableSchema, codes: Codes) -> tuple[MissingSet, ...]:
    """
    Return sets of the columns that have missing cells in training rows, (N, C).

    Each set is given the column without missing cells that is best for the patterns by
    the Bayesian information criterion, if any is. Two sets become one if the same
    criterion is better for their patterns as one variable than as two; columns that
    are missing in the same rows are one from the start. The best of n choices pays
    log n nats, so that it is not the best by chance (Chen & Chen 2008).
    """
    is_missing = np.isnan(codes)
    some = np.linspace(0, len(codes) - 1, min(len(codes), _MAX_ROWS)).astype(np.int64)
    never = np.flatnonzero(~is_missing.any(axis=0))
    grouped = list(_grouped(schema, codes[some], never))
    blocks = [
        _block(columns, is_missing[some, columns[0]] * 1, grouped)
        for columns in _equal(is_missing)
    ]
    return tuple(
        one
        for block in _merged(blocks, grouped)
        for one in _as_sets(schema, block, is_missing)
    )


def pattern_of(one: MissingSet, schema: TableSchema, is_missing: _Bits) -> _Index:
    """Return the index of the pattern of every row, (N,); -1 for one that is new."""
    columns = [schema.names.index(name) for name in one.columns]
    found = np.full(len(is_missing), -1, np.int64)
    for k, pattern in enumerate(one.patterns):
        wanted = [name in pattern for name in one.columns]
        found[(is_missing[:, columns] == wanted).all(axis=1)] = k
    return found


def group_of(one: MissingSet, schema: TableSchema, codes: Codes) -> _Index:
    """Return the group of every row, (N,); 0 where the column of groups is missing."""
    if one.given is None:
        return np.zeros(len(codes), np.int64)
    column = schema.column(one.given)
    given = codes[:, schema.names.index(one.given)]
    return _groups(given, column, one.cuts)


def _groups(codes: Codes, column: TableColumn, cuts: tuple[float, ...]) -> _Index:
    known = np.nan_to_num(codes, nan=-np.inf)
    found: _Index = np.searchsorted(edges(column, cuts), known, side="left")
    return found


def _equal(is_missing: _Bits) -> Sequence[tuple[int, ...]]:
    """Return the columns with missing cells; those with the same ones together."""
    found: dict[bytes, list[int]] = {}
    for j in np.flatnonzero(is_missing.any(axis=0)).tolist():
        key = sha256(np.packbits(is_missing[:, j]).tobytes()).digest()
        found.setdefault(key, []).append(j)
    return [tuple(columns) for columns in found.values()]


def _block(
    columns: tuple[int, ...], pattern: _Index, grouped: Sequence[_Grouped]
) -> _Block:
    """Return columns with the column that tells most about their patterns."""
    price = math.log(max(1, len(grouped)))
    gains = [_gain(pattern, one.group) - price for one in grouped]
    best = max(gains, default=0.0)
    if best <= 0:
        return _Block(columns, pattern, None, 0.0)
    return _Block(columns, pattern, grouped[gains.index(best)], best)


def _merged(blocks: Sequence[_Block], grouped: Sequence[_Grouped]) -> Sequence[_Block]:
    """Join blocks, the most dependent pairs of columns first."""
    least = math.log(max(1, math.comb(len(blocks), 2)))
    pairs = [
        (gain, i, j)
        for i, j in combinations(range(len(blocks)), 2)
        if (gain := _gain(blocks[i].pattern, blocks[j].pattern)) > least
    ]
    block_of = dict(enumerate(blocks))
    refused: set[frozenset[tuple[int, ...]]] = set()
    for _, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        one, other = block_of[i], block_of[j]
        tried = frozenset((one.columns, other.columns))
        if one is other or tried in refused:
            continue
        both = _joined(one, other, grouped, least)
        if both is None:
            refused.add(tried)
            continue
        for k, block in block_of.items():
            if block is one or block is other:
                block_of[k] = both
    return list({id(block): block for block in block_of.values()}.values())


def _joined(
    one: _Block, other: _Block, grouped: Sequence[_Grouped], least: float
) -> _Block | None:
    """Return two blocks as one; None if that does not gain `least` nats."""
    both = one.pattern * (other.pattern.max() + 1) + other.pattern
    patterns, pattern = np.unique(both, return_inverse=True)
    if len(patterns) > MAX_PATTERNS:
        return None
    found = _block((*one.columns, *other.columns), pattern, grouped)
    gain = _gain(one.pattern, other.pattern) + found.gain - one.gain - other.gain
    return found if gain > least else None


def _gain(one: _Index, other: _Index) -> float:
    """
    Return how much the information criterion gains by p(one, other), in nats.

    N I(one; other) - log(N) / 2 for each parameter that p(one) p(other) has not.
    """
    n_others = int(other.max()) + 1
    table = np.bincount(
        one * n_others + other, minlength=(int(one.max()) + 1) * n_others
    )
    table = table.reshape(-1, n_others)
    rows, columns = table.sum(axis=1), table.sum(axis=0)
    n_more = ((rows > 0).sum() - 1) * ((columns > 0).sum() - 1)
    n = len(one)
    information = _entropy(rows, n) + _entropy(columns, n) - _entropy(table, n)
    return float(n * information - 0.5 * math.log(n) * n_more)


def _entropy(counts: _Index, n: int) -> float:
    share = counts[counts > 0] / n
    return float(-(share * np.log(share)).sum())


def _as_sets(
    schema: TableSchema, block: _Block, is_missing: _Bits
) -> Iterator[MissingSet]:
    """
    Yield a block with its patterns by name, the most frequent one first.

    Columns that only rare patterns lack, if there are too many, are sets of their own.
    """
    columns = sorted(block.columns)
    rows, counts = np.unique(is_missing[:, columns], axis=0, return_counts=True)
    kept = rows[np.argsort(-counts, kind="stable")[:MAX_PATTERNS]].tolist()
    is_named = [any(bits) for bits in zip(*kept, strict=True)]
    names = [schema.names[j] for j in columns]
    patterns = (
        tuple(name for name, bit in zip(names, row, strict=True) if bit) for row in kept
    )
    given, cuts = (None, ()) if block.given is None else block.given[:2]
    yield MissingSet(
        columns=tuple(n for n, has in zip(names, is_named, strict=True) if has),
        patterns=tuple(patterns),
        given=given,
        cuts=cuts,
    )
    for name in (n for n, has in zip(names, is_named, strict=True) if not has):
        yield MissingSet(columns=(name,), patterns=((), (name,)))


def _grouped(schema: TableSchema, codes: Codes, never: _Index) -> Iterator[_Grouped]:
    """Yield the columns that are never missing, in groups."""
    for j in never:
        column, x = schema.columns[j], codes[:, j]
        cuts = () if column.has_logits else _cuts(x)
        n_groups = column.n_levels if column.has_logits else len(cuts) + 1
        if 1 < n_groups <= MAX_GROUPS:
            yield _Grouped(column.name, cuts, _groups(x, column, cuts))


def _cuts(x: Codes) -> tuple[float, ...]:
    """Return cuts at tenths of the rows, and around frequent values."""
    values, counts = np.unique(x, return_counts=True)
    share = np.sort(counts)[::-1][:_MOST_FREQUENT] / len(x)
    least = max(_FREQUENT, float(share[-1])) * len(x)
    frequent = np.flatnonzero(counts >= least)
    tenths = np.quantile(x, np.arange(1, _N_QUANTILES) / _N_QUANTILES, method="lower")
    before = values[np.maximum(frequent - 1, 0)]
    cuts = np.unique(np.concatenate([tenths, values[frequent], before]))
    return tuple(cuts[cuts < values[-1]].tolist())
