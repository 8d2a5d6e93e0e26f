-- Made by `python -m tests.dbt`: do not change it by hand.
{{ stripe_reports_source.staged('report_cells', [
    ['table_name', 'text'],
    ['account', 'text'],
    ['interval_key', 'text'],
    ['report_type', 'text'],
    ['interval_day', 'date'],
    ['interval_start', 'timestamptz'],
    ['interval_end', 'timestamptz'],
    ['whole_end', 'timestamptz'],
    ['complete', 'bool'],
    ['rows', 'bigint'],
    ['run_id', 'text'],
    ['data_available_end', 'timestamptz'],
    ['_dlt_load_id', 'text'],
]) }}
