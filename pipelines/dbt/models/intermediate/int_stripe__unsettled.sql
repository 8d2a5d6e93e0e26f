-- Made by `python -m tests.dbt`: do not change it by hand.
select
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
    _interval_day as snapshot_day,
    _interval_end as snapshot_at,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__ending_balance_reconciliation_itemized') }} as report
where {{ stripe_reports_source.has_columns('ending_balance_reconciliation_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
{%- if 'connected_account_ending_balance_reconciliation.itemized' in var('stripe_reports') %}
union all
select
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
    _interval_day as snapshot_day,
    _interval_end as snapshot_at,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__connected_ending_balance_reconciliation_itemized') }} as report
where {{ stripe_reports_source.has_columns('connected_account_ending_balance_reconciliation_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end is not null
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end not in (select _account from {{ ref('stg_stripe__ending_balance_reconciliation_itemized') }} where _account is not null)
{%- endif %}
