-- Made by `python -m tests.dbt`: do not change it by hand.
{{ stripe_reports_source.staged('report_columns', [
    ['table_name', 'text'],
    ['column_name', 'text'],
    ['stripe_header', 'text'],
    ['type', 'text'],
    ['description', 'text'],
    ['_dlt_load_id', 'text'],
]) }}
