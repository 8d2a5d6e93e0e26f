"""Whether Stripe's reports agree with one another, and with their files: equations as SQL, verdicts in Python.

In: a pipeline's dataset. Out: statements, one for each equation, cell, currency and item. Reads only; who writes them
into the table `tie_out` is `proof`, beside this folder.
"""
