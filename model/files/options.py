"""How files are read, where a person overrules what the readers recognize."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, final

from model.data_config import Data
from model.files.contents import DataError

LayoutName = Literal["nchw", "nhwc"]
Mode = Literal["gray", "grey", "color"]

_FOR = {
    "tables": ("header", "sep", "decimal", "drop", "label", "columns"),
    "arrays": ("x_key", "layout"),
    "folders of pictures": ("size", "mode", "background"),
}


@final
@dataclass(frozen=True)
class ReadOptions:
    """
    How files are read. What is not given is recognized from the file and printed.

    Attributes:
        header: For tables: whether the first line has the names of the columns.
        sep: For tables in text: the separator of cells, one character or tab.
        decimal: For tables in text: the decimal mark of numbers.
        drop: For tables: columns to leave out, by name, or by number from 1.
        label: For tables: the column with the classes of the rows, which are kept with
            the examples and never trained on.
        columns: For tables: the columns to use, in this order; all if not given. In
            training also one NAME.columns.json, as an earlier training wrote it.
        x_key: For .npz: the name of the array with the examples.
        layout: For arrays (N, ., ., .): nchw has the channels first, nhwc last.
        size: For folders of pictures: HEIGHTxWIDTH to scale every picture to; with one
            number, both.
        mode: For folders of pictures: gray or color; if not given, as the pictures are,
            or gray for a model whose training turned them gray.
        background: For folders of pictures: what is behind transparent pixels; if not
            given, white, or what the model that gets the pictures has there.
    """

    header: bool | None = None
    sep: str | None = None
    decimal: Literal[".", ","] | None = None
    drop: tuple[str, ...] = ()
    label: str | None = None
    columns: tuple[str, ...] = ()
    x_key: str | None = None
    layout: LayoutName | None = None
    size: str | None = None
    mode: Mode | None = None
    background: Literal["white", "black"] | None = None

    def check_for(self, kind: str, file: str) -> None:
        """
        Check that no option is given that the reader of a kind does not have.

        Args:
            kind: A key of `_FOR`, or another word if no option is for it.
            file: The data, in the error.

        Raises:
            DataError: An option would be ignored.
        """
        for other, names in _FOR.items():
            for name in names if other != kind else ():
                if getattr(self, name) != getattr(_DEFAULTS, name):
                    option = name.replace("_", "-")
                    raise DataError(f"--{option} is for {other}, not for {file}")

    def as_trained(self, path: Path, data: Data) -> "ReadOptions":
        """
        Return the same options, those not given as a model's training had them.

        Transparent pixels and colors of a folder of pictures become what they were.
        """
        found = self
        if path.is_dir() and data.background == 0 and self.background is None:
            found = replace(found, background="black")
        if path.is_dir() and data.turned_gray and self.mode is None:
            found = replace(found, mode="gray")
        return found


_DEFAULTS = ReadOptions()
