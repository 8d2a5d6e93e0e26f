"""`python -m stripe_reports_source.emulator`: the emulator with its defaults, until Ctrl-C."""

from .server import run_forever
from .settings import EmulatorSettings

if __name__ == "__main__":
    run_forever(EmulatorSettings(run_delay=2.0))
