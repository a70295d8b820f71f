"""
The same table as programs write it: R, LibreOffice and pandas.

Small files that they wrote are in `written/`, and `python -m tests.model.files.programs
FOLDER` writes them again with what is installed.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# height, mass, count and big, of which the last is a truth value.
X = [[1.5, 1234.5, 3, 1], [0.125, 7, 5, 0], [-2.25, 1e-05, 3, 1], [12.75, 1e7, 9, 0]]
COLUMNS = ("height", "mass", "count", "big")
SPECIES = ("rose", "a;b, c", "größe", "rose")

_R = """
d <- data.frame(height=c(1.5,0.125,-2.25,12.75), mass=c(1234.5,7,1e-05,1e7),
  count=c(3L,5L,3L,9L), big=c(TRUE,FALSE,TRUE,FALSE),
  species=c("rose","a;b, c","gr\\u00f6\\u00dfe","rose"))
write.csv(d, "r_write_csv.csv", fileEncoding="UTF-8")
write.csv(d, "r_no_row_names.csv", row.names=FALSE, fileEncoding="UTF-8")
write.csv2(d, "r_write_csv2.csv", fileEncoding="UTF-8")
write.table(d, "r_write_table.txt", fileEncoding="UTF-8")
write.table(d, "r_col_names_na.tsv", sep="\\t", col.names=NA, fileEncoding="UTF-8")
write.csv(d, gzfile("r_gz.csv.gz", encoding="UTF-8"))
write.csv2(d, "r_latin1.csv", fileEncoding="latin1")
write.csv(d, "r_utf16.csv", fileEncoding="UTF-16LE")
rownames(d) <- c("first", "second", "third", "fourth")
write.csv(d, "r_named_rows.csv", fileEncoding="UTF-8")
"""

_FODS = """<?xml version="1.0" encoding="UTF-8"?>
<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"
 xmlns:style="urn:oasis:names:tc:opendocument:xmlns:style:1.0"
 xmlns:number="urn:oasis:names:tc:opendocument:xmlns:datastyle:1.0"
 xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"
 xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" office:version="1.2"
 office:mimetype="application/vnd.oasis.opendocument.spreadsheet">
<office:automatic-styles>
<number:number-style style:name="N" number:language="{language}"
 number:country="{country}"><number:number number:min-integer-digits="1"
 number:decimal-places="5" number:min-decimal-places="1" number:grouping="true"/>
</number:number-style>
<number:boolean-style style:name="B" number:language="en" number:country="US">
<number:boolean/></number:boolean-style>
<style:style style:name="n" style:family="table-cell" style:data-style-name="N"/>
<style:style style:name="b" style:family="table-cell" style:data-style-name="B"/>
</office:automatic-styles>
<office:body><office:spreadsheet><table:table table:name="t">{rows}</table:table>
</office:spreadsheet></office:body></office:document>
"""


def write_r(folder: Path) -> None:
    """Write tables with R's write.csv, write.csv2 and write.table."""
    environment = {**os.environ, "LC_ALL": "C.UTF-8"}
    command = ["Rscript", "-e", _R]
    subprocess.run(command, cwd=folder, env=environment, check=True, timeout=120)


def write_libreoffice(folder: Path) -> None:
    """Export tables from a spreadsheet in English and in German, without a screen."""
    # Separator, quote, character set, first line; then: texts in quotes, as shown.
    as_shown = {"quotes": "true,true,true", "plain": "false,true,false"}
    for name, language, sep, encoding, how in (
        ("english.csv", "en-US", 44, 76, "quotes"),
        ("german.csv", "de-DE", 59, 76, "quotes"),
        ("german_commas.csv", "de-DE", 44, 76, "quotes"),
        ("german_windows.csv", "de-DE", 59, 1, "quotes"),
        ("german_utf16.tsv", "de-DE", 9, 65535, "quotes"),
        ("plain.csv", "de-DE", 44, 76, "plain"),
    ):
        source = folder / f"libreoffice_{name}.fods"
        source.write_text(_spreadsheet(*language.split("-")), encoding="utf-8")
        options = f"{sep},34,{encoding},1,,0,{as_shown[how]}"
        home = f"-env:UserInstallation=file://{folder}/.libreoffice"
        target = f"csv:Text - txt - csv (StarCalc):{options}"
        command = ["soffice", home, "--headless", "--convert-to", target, source.name]
        subprocess.run(command, cwd=folder, check=True, timeout=300)
        (folder / f"libreoffice_{name}.csv").rename(folder / f"libreoffice_{name}")
        source.unlink()
    shutil.rmtree(folder / ".libreoffice")


def write_pandas(folder: Path) -> None:
    """Write tables with pandas, and as Parquet and Arrow where pyarrow is there."""
    import pandas as pd  # noqa: PLC0415

    data: dict[str, Any] = {
        **{n: list(c) for n, c in zip(COLUMNS, zip(*X, strict=True), strict=True)},
        "species": SPECIES,
    }
    frame = pd.DataFrame(data).astype({"count": int, "big": bool})
    frame.to_csv(folder / "pandas.csv")
    frame.to_csv(folder / "pandas_no_index.csv", index=False)
    frame.to_csv(folder / "pandas_german.csv", sep=";", decimal=",")
    frame.to_csv(folder / "pandas_utf16.tsv", sep="\t", encoding="utf-16")
    frame.to_csv(folder / "pandas_bom.csv", encoding="utf-8-sig", index=False)
    frame.to_csv(folder / "pandas.csv.gz")
    pd.DataFrame(X).to_csv(folder / "pandas_array.csv", index=False)
    pd.DataFrame(X).to_csv(folder / "pandas_array_index.csv")
    if find_spec("pyarrow"):
        frame.to_parquet(folder / "pandas.parquet")
        frame.set_index(frame["count"].rename(None) * 7).to_parquet(
            folder / "pandas_other_index.parquet"
        )
        frame.to_feather(folder / "pandas.feather")


# By the word that begins the names of files: what writes them, and whether it is here.
PROGRAMS: Mapping[str, tuple[Callable[[Path], None], bool]] = {
    "r": (write_r, shutil.which("Rscript") is not None),
    "libreoffice": (write_libreoffice, shutil.which("soffice") is not None),
    "pandas": (write_pandas, find_spec("pandas") is not None),
}


def _spreadsheet(language: str, country: str) -> str:
    header = "".join(map(_text, (*COLUMNS, "species")))
    rows = [header]
    for (*numbers, big), species in zip(X, SPECIES, strict=True):
        cells = [
            f'<table:table-cell table:style-name="n" office:value-type="float"'
            f' office:value="{number}"/>'
            for number in numbers
        ]
        cells.append(
            '<table:table-cell table:style-name="b" office:value-type="boolean"'
            f' office:boolean-value="{"true" if big else "false"}"/>'
        )
        rows.append("".join(cells) + _text(species))
    body = "".join(f"<table:table-row>{row}</table:table-row>" for row in rows)
    return _FODS.format(language=language, country=country, rows=body)


def _text(words: str) -> str:
    return (
        '<table:table-cell office:value-type="string"><text:p>'
        f"{words}</text:p></table:table-cell>"
    )


if __name__ == "__main__":
    for program, is_here in PROGRAMS.values():
        if is_here:
            program(Path(sys.argv[1]))
