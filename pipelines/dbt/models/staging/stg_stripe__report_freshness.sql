-- Made by `python -m tests.dbt`: do not change it by hand.
{{ stripe_reports_source.staged('report_freshness', [
    ['table_name', 'text'],
    ['account', 'text'],
    ['report_type', 'text'],
    ['loaded_from', 'timestamptz'],
    ['loaded_to', 'timestamptz'],
    ['available_to', 'timestamptz'],
    ['checked_at', 'timestamptz'],
    ['open_failures', 'bigint'],
    ['_dlt_load_id', 'text'],
]) }}
