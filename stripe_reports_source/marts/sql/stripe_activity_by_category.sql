-- What moved the balance, by month and category; activity and payouts apart.
WITH moved AS (
    SELECT account, month, currency, 'activity' AS section, category, gross, fee, net FROM {activity}
    UNION ALL
    SELECT account, month, currency, 'payouts' AS section, category, gross, fee, net FROM {payouts}
)
SELECT account, month, currency, section, category, COUNT(*) AS row_count,
       SUM(gross) AS gross, SUM(fee) AS fee, SUM(net) AS net
FROM moved
GROUP BY account, month, currency, section, category
