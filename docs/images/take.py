"""Take the pictures of the documentation from a finished study: `make screenshots`. Needs Chromium.

Usage: python docs/images/take.py RESULTS FOLDER [VIEW ...]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

SHOWN = "app.setView({{content: '{kind}', contentPath: results['{path}'].data_uri, resultPath: '{path}'}})"
CATEGORY = "app.showCategory('{name}')"
OVERVIEW, TIMELINE = "results/reports/overview.html", "results/reports/timeline.svg"
VIEWS = {
    "front": "",
    "overview": f"{CATEGORY.format(name='Overview')}; {SHOWN.format(kind='html', path=OVERVIEW)}",
    "timeline": f"{CATEGORY.format(name='Work and cost')}; {SHOWN.format(kind='img', path=TIMELINE)}",
    "graph": f"{CATEGORY.format(name='Work and cost')}; {SHOWN.format(kind='img', path='results/reports/dag.svg')}",
    "caption": f"app.showResultInfo('{OVERVIEW}'); {SHOWN.format(kind='html', path=OVERVIEW)}",
    "results": CATEGORY.format(name="Results"),
}
"""Views of the HTML report, as its own functions show them."""
COLOURS = 160
FRAME = 87
"""Height of what a window has besides the page, also without a screen: the page does not reach there."""


def shoot(page: Path, picture: Path, size: tuple[int, int], *, dark: bool) -> None:
    """Write what Chromium shows of a page as a small PNG."""
    browser = next((found for name in ("chromium", "google-chrome") if (found := shutil.which(name))), None)
    if browser is None:
        sys.exit("no Chromium here: apt-get install chromium")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=8000"]
    options += [f"--window-size={size[0]},{size[1] + FRAME}", f"--screenshot={picture}"]
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    subprocess.run([browser, *options, page.resolve().as_uri()], check=True, capture_output=True)
    with Image.open(picture) as taken:
        small = taken.crop((0, 0, *size)).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE)
        small.save(picture, optimize=True)


def main(arguments: Sequence[str]) -> None:
    """Copy two figures; take the overview on its own and the named views of the report, in light and in dark."""
    results, folder = Path(arguments[0]), Path(arguments[1])
    shutil.copyfile(results / "reports" / "dag.svg", folder / "dag.svg")
    shutil.copyfile(results / "criteria" / "figures" / "evaluation_scores.svg", folder / "scores.svg")
    report = (results / "report.html").read_text(encoding="utf-8")
    end = report.rindex("</body>")
    for dark in (False, True):
        suffix = "_dark" if dark else ""
        shoot(results / "reports" / "overview.html", folder / f"overview{suffix}.png", (1180, 1010), dark=dark)
        for name in arguments[2:] or ("overview",):
            with tempfile.NamedTemporaryFile("w", suffix=".html", encoding="utf-8") as page:
                page.write(f"{report[:end]}<script>setTimeout(() => {{{VIEWS[name]}}}, 300)</script>{report[end:]}")
                page.flush()
                shoot(Path(page.name), folder / f"report_{name}{suffix}.png", (1400, 900), dark=dark)


if __name__ == "__main__":
    main(sys.argv[1:])
