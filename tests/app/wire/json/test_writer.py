"""Long JSON, piece by piece: the same text as in one go, in short pieces."""

import numpy as np
import orjson
import pytest

from app.wire.json.writer import PIECE_VALUES, Text, chunks, dumps, is_long
from app.wire.reply import Orient, Reply, TableColumns
from model.tables.schema import TableSchema
from tests.model.tables.tables import MIXED

WIDE = np.random.default_rng(0).normal(size=(3, 2, PIECE_VALUES + 7))
REPLIES = {
    "rows": Reply(
        {"x": WIDE.reshape(-1)[:98000].reshape(-1, 7).astype(np.float32)}, {"seed": 1}
    ),
    "rows longer than a piece": Reply({"x": WIDE, "z": WIDE[:, 0, :3]}, {"units": "a"}),
    "one long row": Reply({"x": WIDE.reshape(1, -1)}),
    "a long column": Reply({"x": WIDE.reshape(-1), "y": WIDE[0, 0] > 0}),
    "no rows": Reply({"x": WIDE.reshape(-1), "y": np.zeros((0, 3))}),
    "NaN": Reply({"x": np.full(PIECE_VALUES + 1, np.nan)}, {"binarize": None}),
    "not contiguous": Reply({"x": WIDE.swapaxes(0, 2)}),
}


@pytest.mark.parametrize("name", REPLIES)
def test_pieces_are_the_text_in_one_go(name: str) -> None:
    """Joined, they are what orjson writes of the whole; each time they are made."""
    reply = REPLIES[name]
    tensors = {k: np.ascontiguousarray(v) for k, v in reply.tensors.items()}
    text = Text(reply)
    pieces = list(text)

    assert is_long(reply)
    assert b"".join(pieces) == dumps({**tensors, **reply.scalars})
    assert list(text) == pieces
    assert text.nbytes == sum(values.nbytes for values in tensors.values())
    assert max(map(len, pieces)) < 30 * PIECE_VALUES


def test_short_replies_are_written_in_one_go() -> None:
    """As many values as a piece has, in all arrays together, are not long."""
    x = np.zeros(PIECE_VALUES - 1)

    assert not is_long(Reply({"x": x, "y": x[:1]}))
    assert is_long(Reply({"x": x, "y": x[:2]}))
    assert orjson.loads(b"".join(chunks(Reply({"x": x}, {"seed": 7}))))["seed"] == 7


@pytest.mark.parametrize("orient", ["records", "split"])
def test_numbers_beyond_all_integers_are_written_by_name(orient: Orient) -> None:
    """As floats, in columns of whole numbers too."""
    codes = np.array([[1e40, -1e300, 0, 1], [2.0**63, 2.0**64, 2, 0]])
    schema = TableSchema(columns=MIXED)
    columns = {"x": TableColumns(schema.names, schema)}

    written = b"".join(chunks(Reply({"x": codes}, columns=columns, orient=orient)))

    x = orjson.loads(written)["x"]
    rows = x["data"] if orient == "split" else [[*row.values()] for row in x]
    assert [row[:2] for row in rows] == codes[:, :2].tolist()
