"""An offline Stripe Reporting API: a synthetic business, its reports as Stripe writes them, and faults on order.

Needs the extra `emulator` (starlette and uvicorn). Start it with `stripe-reports emulator`, with
`python -m stripe_reports_source.emulator`, or in a program::

    with Emulator() as emulator:
        requests.get(emulator.api_url + "/v1/reporting/report_types", auth=("rk_live_demo", ""))
"""

from .events import Delivery, Endpoint, sign
from .faults import Fault
from .server import Emulator, run_forever
from .settings import EmulatorSettings
from .transactions import Transaction, late_charge

__all__ = [
    "Delivery",
    "Emulator",
    "EmulatorSettings",
    "Endpoint",
    "Fault",
    "Transaction",
    "late_charge",
    "run_forever",
    "sign",
]
