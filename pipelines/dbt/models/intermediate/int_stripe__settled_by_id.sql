-- Made by `python -m tests.dbt`: do not change it by hand.
{%- if 'payout_reconciliation.by_id.itemized' in var('stripe_reports') %}
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
    {{ stripe_reports_source.day_of('payout_reconciliation_by_id_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], none) }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('payout_reconciliation_by_id_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], none)) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__payout_reconciliation_by_id_itemized') }} as report
where {{ stripe_reports_source.has_columns('payout_reconciliation_by_id_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
{%- endif %}
{%- if 'payout_reconciliation.by_id.itemized' in var('stripe_reports') and 'connected_account_payout_reconciliation.by_id.itemized' in var('stripe_reports') %}
union all
{%- endif %}
{%- if 'connected_account_payout_reconciliation.by_id.itemized' in var('stripe_reports') %}
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
    {{ stripe_reports_source.day_of('connected_account_payout_reconciliation_by_id_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], none) }} as day,
    {{ stripe_reports_source.month_of(stripe_reports_source.day_of('connected_account_payout_reconciliation_by_id_itemized', ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at'], ['automatic_payout_effective_at'], none)) }} as month,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__connected_payout_reconciliation_by_id_itemized') }} as report
where {{ stripe_reports_source.has_columns('connected_account_payout_reconciliation_by_id_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} else connected_account end is not null
{%- endif %}
{%- if not ('payout_reconciliation.by_id.itemized' in var('stripe_reports') or 'connected_account_payout_reconciliation.by_id.itemized' in var('stripe_reports')) %}
select
    cast(null as {{ stripe_reports_source.type_of('text') }}) as payout_id,
    cast(null as {{ stripe_reports_source.type_of('timestamptz') }}) as payout_effective_at_utc,
    cast(null as {{ stripe_reports_source.type_of('timestamp') }}) as payout_effective_at,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as transaction_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as currency,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as category,
    cast(null as {{ stripe_reports_source.type_of('decimal(38,9)') }}) as gross,
    cast(null as {{ stripe_reports_source.type_of('decimal(38,9)') }}) as fee,
    cast(null as {{ stripe_reports_source.type_of('decimal(38,9)') }}) as net,
    cast(null as {{ stripe_reports_source.type_of('timestamptz') }}) as created_utc,
    cast(null as {{ stripe_reports_source.type_of('timestamp') }}) as created,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as source_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as description,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as charge_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as payment_intent_id,
    cast(null as {{ stripe_reports_source.type_of('timestamptz') }}) as charge_created_utc,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as invoice_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as subscription_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as customer_id,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as payment_method_type,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as card_brand,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as card_country,
    cast(null as {{ stripe_reports_source.type_of('decimal(38,9)') }}) as customer_facing_amount,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as customer_facing_currency,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as account,
    cast(null as {{ stripe_reports_source.type_of('date') }}) as day,
    cast(null as {{ stripe_reports_source.type_of('date') }}) as month,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as _account,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as _interval_key,
    cast(null as {{ stripe_reports_source.type_of('text') }}) as _dlt_load_id
from (select 1 as nothing) as nothing
where 1 = 0
{%- endif %}
