-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(enabled='revenue_recognition.debit_credit_by_price' in var('stripe_reports')) }}
{{ stripe_reports_source.staged('revenue_recognition_debit_credit_by_price', [
    ['accounting_period', 'text'],
    ['open_accounting_period', 'bool'],
    ['currency', 'text'],
    ['price_id', 'text'],
    ['debit', 'text'],
    ['credit', 'text'],
    ['amount', 'decimal(38,9)'],
    ['credit_gl_code', 'text'],
    ['debit_gl_code', 'text'],
], stripe_reports_source.added_columns()) }}
