{# Tables that are not loaded as far as Stripe had data at the last sync, or of which intervals have failed. #}
{% test loaded_as_far_as_stripe(model) %}
select table_name, account, loaded_to, available_to, open_failures
from {{ model }}
where open_failures > 0
   or loaded_to < available_to
   or (loaded_to is null and available_to is not null)
{% endtest %}
