-- Double entry: each movement of the Stripe balance, and what it is booked against. Debits equal credits in each source.
WITH movements AS (
    SELECT account, day, month, currency, category AS source, 'gross' AS entry, category,
           CAST(NULL AS TEXT) AS payout_id, SUM(gross) AS amount
    FROM {activity} GROUP BY account, day, month, currency, category
    UNION ALL
    SELECT account, day, month, currency, CONCAT(category, ' fees'), 'fee', category, NULL, SUM(fee)
    FROM {activity} GROUP BY account, day, month, currency, category
    UNION ALL
    SELECT account, day, month, currency, CONCAT(category, ' ', payout_id), 'payout', category, payout_id, SUM(gross)
    FROM {payouts} GROUP BY account, day, month, currency, category, payout_id
    UNION ALL
    SELECT account, day, month, currency, CONCAT(category, ' ', payout_id, ' fees'), 'fee', category, payout_id, SUM(fee)
    FROM {payouts} GROUP BY account, day, month, currency, category, payout_id
),
-- what comes into the balance is its debit, and a credit elsewhere
sides AS (
    SELECT movements.*, 'balance' AS side, amount AS debited FROM movements WHERE amount <> 0
    UNION ALL
    SELECT movements.*, entry, -amount FROM movements WHERE amount <> 0
)
SELECT sides.day AS journal_date, sides.account,
       COALESCE(own.ledger_account, general.ledger_account, suspense.ledger_account, 'suspense') AS ledger_account,
       sides.currency,
       CASE WHEN sides.debited > 0 THEN sides.debited ELSE CAST(0 AS DECIMAL(38, 9)) END AS debit,
       CASE WHEN sides.debited < 0 THEN -sides.debited ELSE CAST(0 AS DECIMAL(38, 9)) END AS credit,
       sides.source, sides.side AS entry, sides.category, sides.payout_id, sides.month
FROM sides
LEFT JOIN {ledger_accounts} AS own ON own.category = sides.category AND own.entry = sides.side
LEFT JOIN {ledger_accounts} AS general ON general.category = '*' AND general.entry = sides.side
LEFT JOIN {ledger_accounts} AS suspense ON suspense.category = '*' AND suspense.entry = 'suspense'
