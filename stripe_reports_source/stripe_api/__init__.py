"""Asking Stripe: the Reporting API, report runs and what webhooks say of them. No dlt, no Arrow."""
