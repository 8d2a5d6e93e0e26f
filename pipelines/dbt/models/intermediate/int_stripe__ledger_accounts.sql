{%- set own = var('stripe_ledger_accounts') -%}
{%- if own %}
select category, entry, ledger_account
from {{ ref(own) }}
union all
{%- endif %}
select category, entry, ledger_account
from {{ ref('stripe_ledger_accounts') }} as general
{%- if own %}
where not exists (
    select 1 from {{ ref(own) }} as own where own.category = general.category and own.entry = general.entry
)
{%- endif %}
