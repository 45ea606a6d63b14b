"""Write what Prometheus and Grafana are given, below deploy/, from the gateway's own metrics; `--check` only says what is stale.

A new metric ends it with an error until a panel of monitoring/panels.py shows it, or LEFT_OUT there says why none does.
"""
# ruff: noqa: INP001  # a script, not a package

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from monitoring.dashboard import dashboard_document, metrics_in
from monitoring.exposed import EXPOSED
from monitoring.panels import LEFT_OUT, rows
from monitoring.rules import rules_document
from monitoring.scraping import compose_document, kubernetes_document

DEPLOY = Path(__file__).parent.parent / "deploy"
_HEAD = "# Made by `make docs` from the gateway's metrics: edit tools/monitoring instead.\n"
_WIDTH = 120


def documents() -> dict[str, str]:
    """Path below deploy/ -> the whole text of the file."""
    return {
        "grafana/answerback.json": json.dumps(dashboard_document(rows()), indent=2) + "\n",
        "prometheus/rules.yaml": _yaml(rules_document()),
        "prometheus/compose.yaml": _yaml(compose_document()),
        "prometheus/kubernetes.yaml": _yaml(kubernetes_document()),
    }


def unshown() -> set[str]:
    """The metrics that no panel shows and no reason excuses."""
    shown = {
        name for row in rows() for panel in row.panels for query in panel.queries for name in metrics_in(query.expr)
    }
    return EXPOSED.keys() - shown - LEFT_OUT.keys()


def _yaml(document: Mapping[str, Any]) -> str:
    return _HEAD + yaml.safe_dump(document, sort_keys=False, width=_WIDTH, allow_unicode=True)


def main() -> int:
    """Write the files, or say which are stale; exit status 1 then, or where a metric is shown nowhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a file is stale")
    only_check = parser.parse_args().check
    if forgotten := unshown():
        names = ", ".join(sorted(forgotten))
        sys.stdout.write(f"{names}: in no panel; show it, or add it to LEFT_OUT of tools/monitoring/panels.py\n")
        return 1
    stale = []
    for name, text in documents().items():
        path = DEPLOY / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(f"deploy/{name}")
            if not only_check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if stale:
        said = "stale, run `make docs`" if only_check else "written"
        sys.stdout.write(f"{', '.join(stale)}: {said}\n")
    return 1 if only_check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
