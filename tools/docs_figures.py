"""Makes the pictures of docs/theory-figures.md again, by running the page in docs/."""

import os
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"

if __name__ == "__main__":
    blocks = re.findall(
        r"^```python\n(.*?)^```$", (DOCS / "theory-figures.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    os.chdir(DOCS)
    exec("\n".join(blocks), {})  # noqa: S102 - our own page  # nosec
