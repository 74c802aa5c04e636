#!/usr/bin/env python3
"""The queries of a Grafana dashboard.

    queries.py DASHBOARD.json rules            as a file of recording rules, for promtool to parse
    queries.py DASHBOARD.json run URL          each one run against a Prometheus, with how many series it found

Grafana's own variables are filled in with values that fit.
"""

import json
import re
import sys
import urllib.parse
import urllib.request

VARIABLES = {
    "$__rate_interval": "1m",
    "$__range": "1h",
    "$__interval": "15s",
    "$namespace": ".*",
    "$job": ".*",
    "$tenant": ".*",
    "$trigger": ".*",
}


def panels(dashboard):
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries(dashboard):
    for panel in panels(dashboard):
        for target in panel.get("targets", []):
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            if left := re.search(r"\$\w+", text):
                sys.exit(f"{panel['title']}: {left.group()} is a variable that nothing fills")
            yield panel["title"], target["refId"], text


def main(file, verb, url=None):
    with open(file, encoding="utf-8") as text:
        found = list(queries(json.load(text)))
    if verb == "rules":
        rules = [{"record": f"dashboard:query:{number}", "expr": expr} for number, (_, _, expr) in enumerate(found)]
        print(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
        return
    empty = 0
    for title, name, expr in found:
        answer = urllib.request.urlopen(f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": expr}))
        series = json.load(answer)["data"]["result"]
        empty += not series
        print(f"{len(series):4}  {title} ({name})")
    print(f"{len(found)} queries, {empty} without series")


if __name__ == "__main__":
    main(*sys.argv[1:])
