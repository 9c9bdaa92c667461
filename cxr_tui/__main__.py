"""``python -m cxr_tui`` is the same program as ``cxr-tui``."""

import sys

from cxr_tui.cli import main

sys.exit(main())
