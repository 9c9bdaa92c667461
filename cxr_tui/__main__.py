"""``python -m cxr_tui`` is the same program as ``cxr-tui``."""

import sys

# ``-m`` searches the working folder first, and somebody's data set may contain a json.py. If our
# own code is in that folder, it has to stay on the path.
if not sys.flags.safe_path and not __file__.startswith(f"{sys.path[0]}/"):
    del sys.path[0]

from cxr_tui.cli import main

sys.exit(main())
