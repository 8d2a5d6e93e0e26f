"""A sync: plans, asks Stripe, fetches, and hands rows to dlt in order."""
