"""The chart as Helm renders it, without a cluster; also by hand, for ``kubectl apply -f -``.

``python -m tests.chart.render everything --only admission-policy`` prints the objects of one template.
"""

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import helm_python as helm
import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "statekeep"

RELEASE = "statekeep"
NAMESPACE = "platform"

Object = dict[str, Any]

SETS: Mapping[str, Object] = {
    path.name.removesuffix("-values.yaml"): yaml.safe_load(path.read_text())
    for path in sorted((CHART / "ci").glob("*-values.yaml"))
}
"""Values by name; ``ci/`` is where the tools for charts look for them too."""

REQUIRED = SETS["required"]


@dataclass(frozen=True, slots=True)
class Pod:
    """What a Deployment, a Job or a Pod runs."""

    owner: Object
    labels: Object
    spec: Object

    @property
    def component(self) -> str:
        return str(self.labels["app.kubernetes.io/component"])

    @property
    def containers(self) -> list[Object]:
        """Every container, those that run first included."""
        return [*self.spec.get("initContainers", []), *self.spec["containers"]]

    def container(self, name: str) -> Object:
        [found] = (one for one in self.containers if one["name"] == name)
        return found


def templates(values: Object, *, name: str = RELEASE, namespace: str = NAMESPACE) -> dict[str, str]:
    """Return what Helm makes of each template, by its path below ``templates/``."""
    with helm.Chart.load(CHART) as chart:
        rendered = chart.render(values, name=name, namespace=namespace)
    return {path.removeprefix("statekeep/templates/"): text for path, text in rendered.items()}


def objects(
    values: Object, *, only: str = "", name: str = RELEASE, namespace: str = NAMESPACE
) -> list[Object]:
    """Return every object of a release, those of hooks too."""
    return [
        document
        for path, text in templates(values, name=name, namespace=namespace).items()
        if path.endswith(".yaml") and only in path
        for document in yaml.load_all(text, yaml.CSafeLoader)
        if document is not None
    ]


def of_kind(rendered: list[Object], *kinds: str) -> list[Object]:
    """Return the objects of some kinds."""
    return [one for one in rendered if one["kind"] in kinds]


def pods(rendered: list[Object]) -> Iterator[Pod]:
    """Yield everything that runs."""
    for one in rendered:
        match one["kind"]:
            case "Deployment" | "Job":
                template = one["spec"]["template"]
                yield Pod(one, template["metadata"]["labels"], template["spec"])
            case "Pod":
                yield Pod(one, one["metadata"]["labels"], one["spec"])


def pod(rendered: list[Object], component: str) -> Pod:
    """Return the one pod of a component."""
    [found] = (one for one in pods(rendered) if one.component == component)
    return found


def environment(container: Object) -> dict[str, str]:
    """Return the variables of a container; one from a Secret has the Secret's name and key as its value."""
    found = {}
    for variable in container.get("env", []):
        match variable:
            case {"name": name, "value": value}:
                found[name] = value
            case {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}:
                found[name] = f"{secret}/{key}"
            case {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}:
                found[name] = path
    return found


def main() -> None:
    """Print what one of the value sets, or a file of values, renders to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("values", help=f"{', '.join(SETS)}, or a file")
    parser.add_argument("--only", default="", help="a part of the template's name")
    options = parser.parse_args()
    values = SETS.get(options.values) or yaml.safe_load(Path(options.values).read_text())
    print(yaml.safe_dump_all(objects(values, only=options.only), sort_keys=False), end="")


if __name__ == "__main__":
    main()
