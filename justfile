# One verb for each step of work on this package; CONTRIBUTING.md says when to use which.
# `just` comes with the extra `test`: `.venv/bin/just VERB`, or `just VERB` in an active environment.

set positional-arguments

beside := parent_directory(just_executable())
bin := if path_exists(beside / "pytest") == "true" { beside } else { justfile_directory() / ".venv/bin" }

# list the verbs
@default:
    "{{ just_executable() }}" --list

# linter and format; `just lint --fix` mends what it can
lint *arguments:
    "{{ bin }}/ruff" check "$@" .
    "{{ bin }}/ruff" format {{ if arguments == "--fix" { "" } else { "--check" } }} .

# type checker
types:
    "{{ bin }}/mypy"

# all tests on all cores, or those of the given files
test *arguments:
    "{{ bin }}/pytest" "$@"

# one test, in this process, with all it says: `just test-one tests/unit/test_intervals.py -k apia`
test-one +arguments:
    "{{ bin }}/pytest" -n0 -vv -s -m 'long or not long' "$@"

# the offline demonstration
demo *arguments:
    "{{ bin }}/stripe-reports" demo "$@"

# schedules of trouble with real kills: `just faults --schedules 100 --kills`, or one `--seed 4711 --schedules 1`
faults *arguments:
    "{{ bin }}/python" -m tests.faults "$@"

# time and memory against fixed references: `just bench --rows 1000000 --cases small-load`
bench *arguments:
    "{{ bin }}/python" -m tests.benchmarks "$@"

# what is made in docs/ from the code; `just docs --demo` also what commands print, the picture, and the queries' results; `--page` the picture of the page
docs *arguments:
    "{{ bin }}/python" -m tests.docs "$@"

# what is made in pipelines/dbt from the catalogue and the marts
dbt:
    "{{ bin }}/python" -m tests.dbt

# bring constraints.txt up to pyproject.toml; `just constraints --upgrade` takes the newest releases that it allows
constraints *arguments:
    "{{ bin }}/uv" pip compile --quiet --universal --python-version 3.10 --extra test --extra dagster --strip-extras --no-annotate \
        --custom-compile-command "just constraints" "$@" --output-file constraints.txt pyproject.toml

# bring .ci/constraints up to date, the releases that the tests of Airflow, Ray, Prefect, dbt, the page and of more warehouses run with
engine-constraints *arguments:
    #!/usr/bin/env bash
    set -euo pipefail
    while read -r name packages; do
      tr " " "\n" <<< "$packages" | "{{ bin }}/uv" pip compile --quiet --python-version 3.11 --extra test --strip-extras --no-annotate --no-header \
        "$@" --output-file ".ci/constraints/$name.txt" pyproject.toml -
    done <<< "airflow-2 apache-airflow==2.10.0
    airflow-3 apache-airflow>=3,<4
    ray-prefect ray prefect
    dbt dbt-core<1.12 dbt-duckdb dbt-postgres dbt-snowflake dbt-bigquery
    page playwright
    warehouses deltalake pyiceberg<0.13 pymysql sqlalchemy s3fs moto[server] duckdb-extension-delta duckdb-extension-ducklake duckdb-extension-iceberg duckdb-extension-avro dlt[pyiceberg] dlt[snowflake,bigquery,redshift,databricks,clickhouse,mssql,synapse]"

# tests with the newest release of a package, also above its bound in pyproject.toml: `just newest dlt tests/unit`
newest package *tests:
    #!/usr/bin/env bash
    set -euo pipefail
    place=$(mktemp -d)
    trap 'rm -rf "$place"' EXIT
    echo "$1" > "$place/overrides.txt"
    "{{ bin }}/uv" venv -q "$place/venv"
    "{{ bin }}/uv" pip install -q --python "$place/venv" --overrides "$place/overrides.txt" -e ".[test]"
    "{{ bin }}/uv" pip freeze --python "$place/venv" | grep "^$1=="
    "$place/venv/bin/pytest" "${@:2}"
