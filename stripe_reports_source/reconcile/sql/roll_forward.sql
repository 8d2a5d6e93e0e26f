-- The balance rolled forward over a window of cells, line by line: what the rows say, and beside it what Stripe's
-- summaries say. A side that is not there is NULL. The opening is the closing of the cell before as it was loaded.
WITH without_rows AS (
    SELECT DISTINCT paid.account, paid.currency FROM all_payouts AS paid
    WHERE paid.category <> 'payout_reversal'
      AND NOT EXISTS (
          SELECT 1 FROM all_settled AS held WHERE held.account = paid.account AND held.payout_id = paid.payout_id
      )
      AND NOT EXISTS (
          SELECT 1 FROM all_activity AS named WHERE named.account = paid.account AND named.payout_id = paid.payout_id
      )
),
parts AS (
    SELECT account, currency, 'opening' AS line, '' AS category, 'rows' AS side,
           0 AS line_count, 0 AS gross, 0 AS fee, net
    FROM balance WHERE category = 'ending_balance' AND cell IN (SELECT cell FROM cell_before)
    UNION ALL
    SELECT account, currency, 'opening', '', 'rows', 0, 0, 0, net FROM balance
    WHERE category = 'starting_balance' AND cell IN (SELECT cell FROM first_cell)
      AND NOT EXISTS (SELECT 1 FROM cell_before)
    UNION ALL
    SELECT account, currency, 'opening', '', 'stripe', 0, 0, 0, net FROM balance
    WHERE category = 'starting_balance' AND cell IN (SELECT cell FROM first_cell)
    UNION ALL
    SELECT account, currency, 'activity', category, 'rows', COUNT(*), SUM(gross), SUM(fee), SUM(net) FROM activity
    WHERE cell IN (SELECT cell FROM window_cells) GROUP BY account, currency, category
    UNION ALL
    SELECT account, currency, 'activity', category, 'stripe', line_count, gross, fee, net FROM activity_summary
    WHERE category <> 'total' AND cell IN (SELECT cell FROM window_cells)
    UNION ALL
    SELECT account, currency, 'activity_total', '', 'stripe', 0, 0, 0, net FROM balance
    WHERE category = 'activity' AND cell IN (SELECT cell FROM window_cells)
    UNION ALL
    SELECT account, currency, 'payouts', category, 'rows', COUNT(*), SUM(gross), SUM(fee), SUM(net) FROM payouts
    WHERE cell IN (SELECT cell FROM window_cells) GROUP BY account, currency, category
    UNION ALL
    SELECT account, currency, 'payouts', category, 'stripe', line_count, gross, fee, net FROM payouts_summary
    WHERE category <> 'total' AND cell IN (SELECT cell FROM window_cells)
    UNION ALL
    SELECT account, currency, 'payouts_total', '', 'stripe', 0, 0, 0, net FROM balance
    WHERE category = 'payouts' AND cell IN (SELECT cell FROM window_cells)
    UNION ALL
    SELECT account, currency, 'closing', '', 'stripe', 0, 0, 0, net FROM balance
    WHERE category = 'ending_balance' AND cell IN (SELECT cell FROM last_cell)
    UNION ALL
    SELECT account, currency, 'unsettled', '', 'rows', COUNT(*), SUM(gross), SUM(fee), SUM(net) FROM unsettled
    WHERE cell IN (SELECT cell FROM last_cell) GROUP BY account, currency
    UNION ALL
    SELECT balance.account, balance.currency, 'unsettled', '', 'stripe', 0, 0, 0, balance.net FROM balance
    LEFT JOIN without_rows
        ON without_rows.account = balance.account AND without_rows.currency = balance.currency
    WHERE balance.category = 'ending_balance' AND balance.cell IN (SELECT cell FROM last_cell)
      AND without_rows.currency IS NULL
),
with_totals AS (
    SELECT account, currency, line, category, side, line_count, gross, fee, net FROM parts
    UNION ALL
    SELECT account, currency, CASE WHEN line = 'activity' THEN 'activity_total' ELSE 'payouts_total' END, '', 'rows',
           line_count, gross, fee, net
    FROM parts WHERE side = 'rows' AND line IN ('activity', 'payouts')
    UNION ALL
    SELECT account, currency, 'closing', '', 'rows', 0, 0, 0, net
    FROM parts WHERE side = 'rows' AND line IN ('opening', 'activity', 'payouts')
)
SELECT account, currency, line, category,
       SUM(CASE WHEN side = 'rows' THEN line_count END) AS line_count,
       SUM(CASE WHEN side = 'rows' THEN gross END) AS gross,
       SUM(CASE WHEN side = 'rows' THEN fee END) AS fee,
       SUM(CASE WHEN side = 'rows' THEN net END) AS net,
       SUM(CASE WHEN side = 'stripe' THEN line_count END) AS stripe_count,
       SUM(CASE WHEN side = 'stripe' THEN gross END) AS stripe_gross,
       SUM(CASE WHEN side = 'stripe' THEN fee END) AS stripe_fee,
       SUM(CASE WHEN side = 'stripe' THEN net END) AS stripe_net,
       SUM(CASE WHEN side = 'stripe' THEN -net ELSE net END) AS difference
FROM with_totals
GROUP BY account, currency, line, category
