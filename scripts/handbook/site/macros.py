"""The module that mkdocs-macros loads, afresh for every build."""

from __future__ import annotations

import importlib
import sys
from typing import Any


def define_env(env: Any) -> None:
    """Define what pages may call, with the engine as it is on disk.

    `mkdocs serve` builds again and again in one process, in which imported modules stay. The engine is therefore
    forgotten here, so that an edit of any of its modules shows and no cache of one build is there in the next.
    """
    for name in [name for name in sys.modules if name.partition(".")[0] == "handbook"]:
        del sys.modules[name]
    importlib.invalidate_caches()
    importlib.import_module("handbook.site.build").define(env)
