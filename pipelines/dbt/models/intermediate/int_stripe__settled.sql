-- Made by `python -m tests.dbt`: do not change it by hand.
{{ config(
    materialized='incremental',
    on_schema_change='fail',
    pre_hook="{{ stripe_reports_source.remove_changed_cells(['payout_reconciliation_itemized', 'connected_account_payout_reconciliation_itemized']) }}",
) }}
-- depends_on: {{ ref('stg_stripe__report_cells') }}
select
    coalesce(automatic_payout_id, '') as payout_id,
    automatic_payout_effective_at_utc as payout_effective_at_utc,
    automatic_payout_effective_at as payout_effective_at,
    balance_transaction_id as transaction_id,
    coalesce(currency, '') as currency,
    coalesce(reporting_category, '') as category,
    coalesce(gross, 0) as gross,
    -coalesce(fee, 0) as fee,
    coalesce(net, 0) as net,
    created_utc,
    created,
    source_id,
    description,
    charge_id,
    payment_intent_id,
    charge_created_utc,
    invoice_id,
    subscription_id,
    customer_id,
    payment_method_type,
    card_brand,
    card_country,
    customer_facing_amount,
    customer_facing_currency,
    _account as account,
    {{ stripe_reports_source.day_of('payout_reconciliation_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], '_interval_key') }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('payout_reconciliation_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], '_interval_key')) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__payout_reconciliation_itemized') }} as report
where {{ stripe_reports_source.has_columns('payout_reconciliation_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and {{ stripe_reports_source.of_new_cells('report') }}
{%- if 'connected_account_payout_reconciliation.itemized' in var('stripe_reports') %}
union all
select
    coalesce(automatic_payout_id, '') as payout_id,
    automatic_payout_effective_at_utc as payout_effective_at_utc,
    automatic_payout_effective_at as payout_effective_at,
    balance_transaction_id as transaction_id,
    coalesce(currency, '') as currency,
    coalesce(reporting_category, '') as category,
    coalesce(gross, 0) as gross,
    -coalesce(fee, 0) as fee,
    coalesce(net, 0) as net,
    created_utc,
    created,
    source_id,
    description,
    charge_id,
    payment_intent_id,
    charge_created_utc,
    invoice_id,
    subscription_id,
    customer_id,
    payment_method_type,
    card_brand,
    card_country,
    customer_facing_amount,
    customer_facing_currency,
    case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end as account,
    {{ stripe_reports_source.day_of('connected_account_payout_reconciliation_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], '_interval_key') }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('connected_account_payout_reconciliation_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], '_interval_key')) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__connected_payout_reconciliation_itemized') }} as report
where {{ stripe_reports_source.has_columns('connected_account_payout_reconciliation_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end is not null
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end not in (select _account from {{ ref('stg_stripe__payout_reconciliation_itemized') }} where _account is not null)
  and {{ stripe_reports_source.of_new_cells('report') }}
{%- endif %}
