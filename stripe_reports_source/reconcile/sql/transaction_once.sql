-- One row for each transaction and book: per payout in payout reconciliation, per cell in a snapshot.
SELECT account, MAX(cell) AS cell, MAX(currency) AS currency, transaction_id AS item, COUNT(*) AS figure, 1 AS against,
       0 AS gross_difference, 0 AS fee_difference, COUNT(*) - 1 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM book
WHERE transaction_id IN (
    SELECT transaction_id FROM book WHERE transaction_id <> '' AND cell IN (SELECT cell FROM touched)
)
GROUP BY account, transaction_id, volume
