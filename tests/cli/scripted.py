"""Omni with a scripted worker behind every brain: `OMNI_TEST_SCRIPT` holds the worker's settings as JSON."""

import json
import os
import sys
from typing import Any
from unittest.mock import patch

import msgspec

from omni.engine.engines import Engines

original = Engines.spec


def scripted(self: Engines, brain: Any, **options: Any) -> Any:
    spec = original(self, brain, **options)
    wanted = json.loads(os.environ.get("OMNI_TEST_SCRIPT", "{}"))
    return msgspec.structs.replace(spec, engine="scripted", settings=spec.settings | wanted)


if __name__ == "__main__":
    from omni.__main__ import main

    with patch.object(Engines, "spec", scripted):
        sys.exit(main())  # type: ignore[no-untyped-call]  # Python 2.7 reads it, too
