-- Unsettled before + activity + reversals - settled - payouts without rows = unsettled now. The first cell that is
-- loaded opens with the opening of the balance summary.
WITH moved AS (
    SELECT opened.account, cell_pairs.cell, opened.currency, opened.net AS figure, 0 AS against
    FROM before_unsettled AS opened JOIN cell_pairs ON cell_pairs.cell_before = opened.cell
    UNION ALL
    SELECT account, cell, currency, net, 0 FROM balance
    WHERE category = 'starting_balance' AND cell NOT IN (SELECT cell FROM cell_pairs)
    UNION ALL
    SELECT account, cell, currency, net, 0 FROM activity
    UNION ALL
    SELECT account, cell, currency, net, 0 FROM payouts WHERE category = 'payout_reversal'
    UNION ALL
    SELECT account, cell, currency, -net, 0 FROM settled
    UNION ALL
    SELECT paid.account, paid.cell, paid.currency, paid.net, 0 FROM payouts AS paid
    WHERE paid.category <> 'payout_reversal' AND paid.payout_id <> ''
      AND NOT EXISTS (
          SELECT 1 FROM all_settled AS held WHERE held.payout_ref = paid.payout_key
             AND held.account = paid.account AND held.payout_id = paid.payout_id
      )
      AND NOT EXISTS (
          SELECT 1 FROM all_activity AS named WHERE named.payout_ref = paid.payout_key
             AND named.account = paid.account AND named.payout_id = paid.payout_id
      )
    UNION ALL
    SELECT account, cell, currency, 0, net FROM unsettled
)
SELECT account, cell, currency, '' AS item, SUM(figure) AS figure, SUM(against) AS against,
       0 AS gross_difference, 0 AS fee_difference, 0 AS count_difference,
       '' AS note, '' AS against_cell, CAST(NULL AS TIMESTAMPTZ) AS moment
FROM moved
GROUP BY account, cell, currency
