-- One row for each transaction and book: per payout in payout reconciliation, per cell in a snapshot. Each cell that has
-- a row of a transaction tells of it.
WITH copied AS (
    SELECT account, transaction_id, volume, COUNT(*) AS copies, MIN(cell) AS first_cell, MAX(cell) AS last_cell
    FROM book
    WHERE transaction_id IN (
        SELECT transaction_id FROM book WHERE transaction_id <> '' AND cell IN (SELECT cell FROM touched)
    )
    GROUP BY account, transaction_id, volume
    HAVING COUNT(*) > 1
)
SELECT book.account, book.cell, MAX(book.currency) AS currency, book.transaction_id AS item,
       MAX(COALESCE(copied.copies, 1)) AS figure, 1 AS against, 0 AS gross_difference, 0 AS fee_difference,
       MAX(COALESCE(copied.copies, 1)) - 1 AS count_difference, '' AS note,
       MAX(CASE WHEN copied.first_cell <> book.cell THEN copied.first_cell
                WHEN copied.last_cell <> book.cell THEN copied.last_cell ELSE '' END) AS against_cell,
       CAST(NULL AS TIMESTAMPTZ) AS moment
FROM book
LEFT JOIN copied ON copied.account = book.account AND copied.transaction_id = book.transaction_id
                AND copied.volume = book.volume
WHERE book.transaction_id <> '' AND book.cell IN (SELECT cell FROM touched)
GROUP BY book.account, book.cell, book.transaction_id
