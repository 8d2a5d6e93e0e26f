-- Made by `python -m tests.dbt`: do not change it by hand.
select 'activity' as input, account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['balance_change_from_activity_itemized']) }})
  and {{ stripe_reports_source.has_columns('balance_change_from_activity_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['created_utc', 'created']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
union all
select 'payouts' as input, account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['payouts_itemized']) }})
  and {{ stripe_reports_source.has_columns('payouts_itemized', [['payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['effective_at_utc', 'effective_at']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
union all
select 'settled' as input, account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['payout_reconciliation_itemized']) }})
  and {{ stripe_reports_source.has_columns('payout_reconciliation_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
union all
select 'unsettled' as input, account, interval_day as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['ending_balance_reconciliation_itemized']) }})
  and {{ stripe_reports_source.has_columns('ending_balance_reconciliation_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
union all
select 'balance' as input, account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['balance_summary']) }})
  and {{ stripe_reports_source.has_columns('balance_summary', [['category', 'reporting_category'], ['currency'], ['net_amount']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
{%- if 'connected_account_balance_change_from_activity.itemized' in var('stripe_reports') %}
union all
select 'activity' as input, {{ stripe_reports_source.connected_account_of('interval_key') }} as account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['connected_account_balance_change_from_activity_itemized']) }})
  and {{ stripe_reports_source.has_columns('connected_account_balance_change_from_activity_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['created_utc', 'created']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
  and interval_key like '%"connected_account":"%'
  and {{ stripe_reports_source.connected_account_of('interval_key') }} not in (select _account from {{ ref('stg_stripe__balance_change_from_activity_itemized') }} where _account is not null)
{%- endif %}
{%- if 'connected_account_payouts.itemized' in var('stripe_reports') %}
union all
select 'payouts' as input, {{ stripe_reports_source.connected_account_of('interval_key') }} as account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['connected_account_payouts_itemized']) }})
  and {{ stripe_reports_source.has_columns('connected_account_payouts_itemized', [['payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['effective_at_utc', 'effective_at']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
  and interval_key like '%"connected_account":"%'
  and {{ stripe_reports_source.connected_account_of('interval_key') }} not in (select _account from {{ ref('stg_stripe__payouts_itemized') }} where _account is not null)
{%- endif %}
{%- if 'connected_account_payout_reconciliation.itemized' in var('stripe_reports') %}
union all
select 'settled' as input, {{ stripe_reports_source.connected_account_of('interval_key') }} as account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['connected_account_payout_reconciliation_itemized']) }})
  and {{ stripe_reports_source.has_columns('connected_account_payout_reconciliation_itemized', [['automatic_payout_id'], ['currency'], ['reporting_category'], ['gross'], ['fee'], ['net'], ['automatic_payout_effective_at_utc', 'automatic_payout_effective_at']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
  and interval_key like '%"connected_account":"%'
  and {{ stripe_reports_source.connected_account_of('interval_key') }} not in (select _account from {{ ref('stg_stripe__payout_reconciliation_itemized') }} where _account is not null)
{%- endif %}
{%- if 'connected_account_ending_balance_reconciliation.itemized' in var('stripe_reports') %}
union all
select 'unsettled' as input, {{ stripe_reports_source.connected_account_of('interval_key') }} as account, interval_day as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['connected_account_ending_balance_reconciliation_itemized']) }})
  and {{ stripe_reports_source.has_columns('connected_account_ending_balance_reconciliation_itemized', [['currency'], ['reporting_category'], ['gross'], ['fee'], ['net']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
  and interval_key like '%"connected_account":"%'
  and {{ stripe_reports_source.connected_account_of('interval_key') }} not in (select _account from {{ ref('stg_stripe__ending_balance_reconciliation_itemized') }} where _account is not null)
{%- endif %}
{%- if 'connected_account_balance.summary' in var('stripe_reports') %}
union all
select 'balance' as input, {{ stripe_reports_source.connected_account_of('interval_key') }} as account, {{ stripe_reports_source.first_day_of('interval_start', 'interval_key') }} as first_day, {{ stripe_reports_source.last_day_of('interval_end', 'interval_key') }} as last_day, interval_start as start_at, interval_end as end_at, coalesce(complete, false) as complete
from {{ ref('stg_stripe__report_cells') }}
where table_name in ({{ stripe_reports_source.identifiers(['connected_account_balance_summary']) }})
  and {{ stripe_reports_source.has_columns('connected_account_balance_summary', [['category', 'reporting_category'], ['currency'], ['net_amount']]) }}
  and {{ stripe_reports_source.all_rows('interval_key') }}
  and interval_key like '%"connected_account":"%'
  and {{ stripe_reports_source.connected_account_of('interval_key') }} not in (select _account from {{ ref('stg_stripe__balance_summary') }} where _account is not null)
{%- endif %}
