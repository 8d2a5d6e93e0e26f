-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='connect_card_payments_fees.plan_level' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('connect_card_payments_fees_plan_level', [
    ['platform_id', 'text'],
    ['connected_account_id', 'text'],
    ['connected_account_name', 'text'],
    ['plan_name', 'text'],
    ['network_cost_category', 'text'],
    ['total_amount', 'decimal(38,18)'],
    ['fee_currency', 'text'],
    ['livemode', 'bool'],
], stripe_reports_source.added_columns()) }}
