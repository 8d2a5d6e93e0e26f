-- Made by `python -m tests.dbt`: do not change it by hand.
select
    balance_transaction_id as transaction_id,
    coalesce(payout_id, '') as payout_id,
    coalesce(currency, '') as currency,
    coalesce(reporting_category, '') as category,
    -coalesce(gross, 0) as gross,
    coalesce(fee, 0) as fee,
    -coalesce(net, 0) as net,
    effective_at_utc,
    effective_at,
    payout_status as status,
    payout_expected_arrival_date as arrival_date,
    payout_type as method,
    payout_destination_id as destination_id,
    {{ stripe_reports_source.first_loaded('payouts_itemized', ['payout_description', 'description']) }} as description,
    trace_id,
    _account as account,
    {{ stripe_reports_source.day_of('payouts_itemized', ['effective_at_utc', 'effective_at'], ['effective_at'], '_interval_key') }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('payouts_itemized', ['effective_at_utc', 'effective_at'], ['effective_at'], '_interval_key')) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__payouts_itemized') }} as report
where {{ stripe_reports_source.has_columns('payouts_itemized', [['payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['effective_at_utc', 'effective_at']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
{%- if 'connected_account_payouts.itemized' in var('stripe_reports') %}
union all
select
    balance_transaction_id as transaction_id,
    coalesce(payout_id, '') as payout_id,
    coalesce(currency, '') as currency,
    coalesce(reporting_category, '') as category,
    -coalesce(gross, 0) as gross,
    coalesce(fee, 0) as fee,
    -coalesce(net, 0) as net,
    effective_at_utc,
    effective_at,
    payout_status as status,
    payout_expected_arrival_date as arrival_date,
    payout_type as method,
    payout_destination_id as destination_id,
    {{ stripe_reports_source.first_loaded('connected_account_payouts_itemized', ['payout_description', 'description']) }} as description,
    trace_id,
    case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end as account,
    {{ stripe_reports_source.day_of('connected_account_payouts_itemized', ['effective_at_utc', 'effective_at'], ['effective_at'], '_interval_key') }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('connected_account_payouts_itemized', ['effective_at_utc', 'effective_at'], ['effective_at'], '_interval_key')) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__connected_payouts_itemized') }} as report
where {{ stripe_reports_source.has_columns('connected_account_payouts_itemized', [['payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['effective_at_utc', 'effective_at']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end is not null
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end not in (select _account from {{ ref('stg_stripe__payouts_itemized') }} where _account is not null)
{%- endif %}
