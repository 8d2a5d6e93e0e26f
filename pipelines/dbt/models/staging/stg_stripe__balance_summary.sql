-- Made by `python -m tests.dbt`: do not change it by hand.
{{ stripe_reports_source.staged('balance_summary', [
    ['category', 'text'],
    ['description', 'text'],
    ['net_amount', 'decimal(38,9)'],
    ['currency', 'text'],
], stripe_reports_source.added_columns()) }}
