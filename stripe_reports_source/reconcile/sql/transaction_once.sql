-- One row for each transaction and book: per payout in payout reconciliation, per cell in a snapshot. Each cell that has
-- a row of a transaction tells of it. Nearly every transaction has one row; only the others are put together by id.
-- Rows without an id are counted where others of their cell have one.
WITH several AS (
    SELECT transaction_key FROM like_book GROUP BY owner, transaction_key HAVING COUNT(*) > 1
),
again AS (
    SELECT account, cell, transaction_id, volume FROM book
    WHERE transaction_ref IN (SELECT transaction_key FROM several)
),
copied AS (
    SELECT account, transaction_id, volume, COUNT(*) AS copies FROM again
    GROUP BY account, transaction_id, volume
    HAVING COUNT(*) > 1
)
SELECT book.account, book.cell, book.currency, '' AS item, COUNT(*) AS figure, COUNT(*) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference, '' AS note, '' AS against_cell,
       CAST(NULL AS TIMESTAMPTZ) AS moment, COUNT(*) AS items
FROM touched_book AS book
LEFT JOIN copied ON copied.account = book.account AND copied.transaction_id = book.transaction_id
                AND copied.volume = book.volume
WHERE copied.copies IS NULL AND book.transaction_id <> ''
GROUP BY book.account, book.cell, book.currency
UNION ALL
SELECT book.account, book.cell, MAX(book.currency), book.transaction_id, MAX(copied.copies), 1,
       0, 0, MAX(copied.copies) - 1, '',
       MAX(CASE WHEN other.cell <> book.cell THEN other.cell ELSE '' END), NULL, 1
FROM touched_book AS book
JOIN copied ON copied.account = book.account AND copied.transaction_id = book.transaction_id
           AND copied.volume = book.volume
JOIN again AS other ON other.account = copied.account AND other.transaction_id = copied.transaction_id
                   AND other.volume = copied.volume
WHERE book.transaction_id <> ''
GROUP BY book.account, book.cell, book.transaction_id
UNION ALL
SELECT account, cell, currency, '', SUM(CASE WHEN transaction_id = '' THEN 1 ELSE 0 END), 0, 0, 0,
       SUM(CASE WHEN transaction_id = '' THEN 1 ELSE 0 END), 'nameless', '', NULL, 1
FROM touched_book
GROUP BY account, cell, currency
HAVING MIN(transaction_id) = '' AND MAX(transaction_id) <> ''
