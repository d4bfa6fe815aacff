"""One module per rule: reads files, calls the packages, writes files."""

import gc
import sys

# Python says "-m" here while it looks for the module to run. What a step's process imports stays until its end, so
# that searching it for garbage in between is a fifth of its start. `run_step` switches the search on.
if sys.argv[0] == "-m":
    gc.disable()
