-- Transactions that stand more than once in a book, and nothing of the others; see transaction_once, which tells of each
-- where there are any.
WITH several AS (
    SELECT transaction_key FROM like_book GROUP BY owner, transaction_key HAVING COUNT(*) > 1
),
again AS (
    SELECT account, transaction_id, volume FROM book WHERE transaction_ref IN (SELECT transaction_key FROM several)
)
SELECT account, '' AS cell, '' AS currency, transaction_id AS item, COUNT(*) AS figure, 1 AS against,
       0 AS gross_difference, 0 AS fee_difference, COUNT(*) - 1 AS count_difference, '' AS note, '' AS against_cell,
       CAST(NULL AS TIMESTAMPTZ) AS moment
FROM again
GROUP BY account, transaction_id, volume
HAVING COUNT(*) > 1
