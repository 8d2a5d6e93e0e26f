{# Made by `python -m tests.dbt`: do not change it by hand. What the source adds to each table of a report: name and type. #}
{% macro added_columns() %}
{{ return([
    ['_account', 'text'],
    ['_report_type', 'text'],
    ['_report_run_id', 'text'],
    ['_interval_start', 'timestamptz'],
    ['_interval_end', 'timestamptz'],
    ['_interval_key', 'text'],
    ['_interval_day', 'date'],
    ['_dlt_load_id', 'text'],
]) }}
{% endmacro %}
