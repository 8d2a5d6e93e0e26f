"""`python -m tests.dbt`: make the files of the dbt package that follow from the catalogue and the marts."""

from __future__ import annotations

from . import made

if __name__ == "__main__":
    made.write()
