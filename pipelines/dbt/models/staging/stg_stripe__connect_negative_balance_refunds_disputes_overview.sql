-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='connect.negative_balance_refunds_disputes_overview' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('connect_negative_balance_refunds_disputes_overview', [
    ['account_id', 'text'],
    ['business_name', 'text'],
    ['country', 'text'],
    ['currency', 'text'],
    ['balance', 'decimal(38,9)'],
    ['pending_debits', 'decimal(38,9)'],
    ['balance_excluding_pending_debits', 'decimal(38,9)'],
    ['balance_24hr_net_change', 'decimal(38,9)'],
    ['refunded_amount_7d', 'decimal(38,9)'],
    ['refunded_amount_7d_prev', 'decimal(38,9)'],
    ['refund_pct_change', 'decimal(38,18)'],
    ['disputed_amount_7d', 'decimal(38,9)'],
    ['disputed_amount_7d_prev', 'decimal(38,9)'],
    ['dispute_pct_change', 'decimal(38,18)'],
    ['has_24hr_negative_balance_change', 'bool'],
    ['has_high_disputes', 'bool'],
    ['has_high_refunds', 'bool'],
], stripe_reports_source.added_columns()) }}
