-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='tax.itemized_export' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('tax_itemized_export', [
    ['id', 'text'],
    ['tax_transaction_id', 'text'],
    ['reversal_original_tax_transaction_id', 'text'],
    ['provider', 'text'],
    ['applied_tax_calculation_type', 'text'],
    ['type', 'text'],
    ['transaction_type', 'text'],
    ['transaction_date', 'timestamp'],
    ['payment_intent_id', 'text'],
    ['line_item_id', 'text'],
    ['currency', 'text'],
    ['total', 'decimal(38,9)'],
    ['tax_amount', 'decimal(38,9)'],
    ['country_code', 'text'],
    ['state_code', 'text'],
    ['jurisdiction_level', 'text'],
    ['jurisdiction_name', 'text'],
    ['tax_type', 'text'],
    ['tax_rate', 'decimal(38,28)'],
], stripe_reports_source.added_columns()) }}
