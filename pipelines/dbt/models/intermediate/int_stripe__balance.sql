-- Made by `python -m tests.dbt`: do not change it by hand.
select
    coalesce(category, '') as line,
    coalesce(currency, '') as currency,
    coalesce(net_amount, 0) as amount,
    _account as account,
    {{ stripe_reports_source.first_day_of('_interval_start', '_interval_key') }} as first_day,
    {{ stripe_reports_source.last_day_of('_interval_end', '_interval_key') }} as last_day,
    _interval_start as start_at,
    _interval_end as end_at,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__balance_summary') }} as report
where {{ stripe_reports_source.has_columns('balance_summary', [['category', 'reporting_category'], ['currency'], ['net_amount']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and category in ('starting_balance', 'ending_balance')
{%- if 'connected_account_balance.summary' in var('stripe_reports') %}
union all
select
    coalesce(category, '') as line,
    coalesce(currency, '') as currency,
    coalesce(net_amount, 0) as amount,
    case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} end as account,
    {{ stripe_reports_source.first_day_of('_interval_start', '_interval_key') }} as first_day,
    {{ stripe_reports_source.last_day_of('_interval_end', '_interval_key') }} as last_day,
    _interval_start as start_at,
    _interval_end as end_at,
    _account,
    _interval_key,
    _dlt_load_id
from {{ ref('stg_stripe__connected_balance_summary') }} as report
where {{ stripe_reports_source.has_columns('connected_account_balance_summary', [['category', 'reporting_category'], ['currency'], ['net_amount']]) }}
  and {{ stripe_reports_source.all_rows('_interval_key') }}
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} end is not null
  and case when _interval_key like '%"connected_account":"%' then {{ stripe_reports_source.connected_account_of('_interval_key') }} end not in (select _account from {{ ref('stg_stripe__balance_summary') }} where _account is not null)
  and category in ('starting_balance', 'ending_balance')
{%- endif %}
