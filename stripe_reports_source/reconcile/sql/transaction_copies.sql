-- How many transactions stand more than once in a book; see transaction_once, which tells of each.
WITH several AS (
    SELECT transaction_key FROM like_book GROUP BY owner, transaction_key HAVING COUNT(*) > 1
),
again AS (
    SELECT account, transaction_id, volume FROM book WHERE transaction_ref IN (SELECT transaction_key FROM several)
),
copied AS (
    SELECT account, transaction_id, volume FROM again GROUP BY account, transaction_id, volume HAVING COUNT(*) > 1
)
SELECT COUNT(*) AS copies FROM copied
