"""``python -m cxr_tui`` is the same program as ``cxr-tui``."""

import sys

# ``-m`` looks for modules in the folder we are in, before all others, and a data set from
# elsewhere may hold a json.py. Where our own code is in that folder, it has to stay.
if not sys.flags.safe_path and not __file__.startswith(f"{sys.path[0]}/"):
    del sys.path[0]

from cxr_tui.cli import main

sys.exit(main())
