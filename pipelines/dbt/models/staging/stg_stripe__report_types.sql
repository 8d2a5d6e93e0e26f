-- Made by `python -m tests.dbt`: do not change it by hand.
{{ stripe_reports_source.staged('report_types', [
    ['account', 'text'],
    ['id', 'text'],
    ['name', 'text'],
    ['version', 'bigint'],
    ['data_available_start', 'timestamptz'],
    ['data_available_end', 'timestamptz'],
    ['default_columns', 'text'],
    ['updated', 'timestamptz'],
    ['livemode', 'bool'],
    ['_dlt_load_id', 'text'],
]) }}
