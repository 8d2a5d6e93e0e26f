{# Statements of the proof with this status: what differs, by how much, and what to do. #}
{% test no_status(model, status) %}
select equation, account, interval_day, currency, item, figure, against, difference, reason
from {{ model }}
where status = '{{ status }}'
{% endtest %}
