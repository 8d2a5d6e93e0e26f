-- One row for each transaction and book: per payout in payout reconciliation, per cell in a snapshot. Each cell that has
-- a row of a transaction tells of it.
WITH several AS (
    SELECT transaction_key
    FROM book
    WHERE transaction_key IN (SELECT transaction_key FROM touched_book)
    GROUP BY owner, transaction_key
    HAVING COUNT(*) > 1
),
copied AS (
    SELECT account, transaction_id, volume, COUNT(*) AS copies
    FROM book
    WHERE transaction_key IN (SELECT transaction_key FROM several)
    GROUP BY account, transaction_id, volume
    HAVING COUNT(*) > 1
)
SELECT book.account, book.cell, book.currency, book.transaction_id AS item, 1 AS figure, 1 AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference, '' AS note, '' AS against_cell,
       CAST(NULL AS TIMESTAMPTZ) AS moment
FROM touched_book AS book
LEFT JOIN copied ON copied.account = book.account AND copied.transaction_id = book.transaction_id
                AND copied.volume = book.volume
WHERE copied.copies IS NULL AND book.transaction_id <> ''
UNION ALL
SELECT book.account, book.cell, MAX(book.currency), book.transaction_id, MAX(copied.copies), 1,
       0, 0, MAX(copied.copies) - 1, '',
       MAX(CASE WHEN other.cell <> book.cell THEN other.cell ELSE '' END), NULL
FROM touched_book AS book
JOIN copied ON copied.account = book.account AND copied.transaction_id = book.transaction_id
           AND copied.volume = book.volume
JOIN book AS other ON other.account = copied.account AND other.transaction_id = copied.transaction_id
                  AND other.volume = copied.volume
WHERE book.transaction_id <> ''
GROUP BY book.account, book.cell, book.transaction_id
