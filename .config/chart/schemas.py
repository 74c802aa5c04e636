#!/usr/bin/env python3
"""Lays out JSON Schemas of Kubernetes objects for kubeconform, from packages alone.

    schemas.py DIRECTORY VERSION... -- CRD.yaml...

DIRECTORY/v<version>/<kind>-<group>-<version>.json comes from the package kubernetes-validate, DIRECTORY/crds/… from the
definitions of custom resources. An object with a field that its schema does not name is refused.
"""

import json
import pathlib
import sys

import kubernetes_validate
import yaml

BUNDLED = pathlib.Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"


def write(path, schema):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(schema))


def built_in(directory, version):
    """The package's strict schemas; their references are absolute paths, and here they stand side by side."""
    found = list((BUNDLED / f"v{version}-local-strict").glob("*.json"))
    if not found:
        sys.exit(f"kubernetes-validate has no schemas of {version}")
    for file in found:
        text = file.read_text().replace('"/api/_definitions.json#', '"_definitions.json#')
        schema = json.loads(text)
        schema.pop("$id", None)
        write(directory / f"v{version}" / file.name, schema)


def close(schema):
    """Makes a schema of a custom resource refuse what it does not name."""
    if not isinstance(schema, dict):
        return
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if "properties" in schema and "additionalProperties" not in schema and not is_open:
        schema["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.get("nullable") and isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    # Not into anyOf and the like: what stands there says more about an object that is described elsewhere.
    for part in [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]:
        close(part)


def custom(directory, file):
    for definition in yaml.safe_load_all(file.read_text()):
        if not definition or definition.get("kind") != "CustomResourceDefinition":
            continue
        spec = definition["spec"]
        for version in spec["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            close(schema)
            schema["properties"]["metadata"] = {"type": "object"}
            group = spec["group"].split(".")[0]
            write(directory / "crds" / f"{spec['names']['kind'].lower()}-{group}-{version['name']}.json", schema)


def main(directory, *rest):
    divide = rest.index("--")
    for version in rest[:divide]:
        built_in(pathlib.Path(directory), version)
    for file in rest[divide + 1 :]:
        custom(pathlib.Path(directory), pathlib.Path(file))


if __name__ == "__main__":
    main(*sys.argv[1:])
