-- Accounts with transactions that stand more than once in a book; see transaction_once, which tells of each.
WITH several AS (
    SELECT transaction_key FROM like_book GROUP BY owner, transaction_key HAVING COUNT(*) > 1
),
again AS (
    SELECT account, transaction_id, volume FROM book WHERE transaction_ref IN (SELECT transaction_key FROM several)
)
SELECT account FROM again GROUP BY account, transaction_id, volume HAVING COUNT(*) > 1
