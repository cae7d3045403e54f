"""What lies in deploy/ agrees with the code: commands, options, keys, metrics, topics; and it is locked down."""

from __future__ import annotations

import configparser
import dataclasses
import json
import re
import shlex
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import kubernetes_validate
import pytest
import typer
import yaml
from typer.main import get_command

from ledger.cli.app import app
from ledger.configuration import SECTIONS, load, variable
from ledger.gateway.figures import of_ingest, of_projector, of_relay, text
from ledger.gateway.metrics import Metrics
from ledger.kafka.ingest import Count
from ledger.kafka.pulse import Pulse
from projections.workers import Tally

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
UNITS = sorted([*DEPLOY.glob("systemd/*.service"), *DEPLOY.glob("*.service")])
KUBERNETES = "1.34"
OURS = {"gateway", "ingest", "relay", "projector", "topics", "admin"}

#: What every unit of ours says: it has no privileges, and cannot get any.
LOCKED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "MemoryDenyWriteExecute": "yes", "RestrictSUIDSGID": "yes", "CapabilityBoundingSet": "",
    "UMask": "0077", "User": "comity",
}  # fmt: skip


def documents(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


@cache
def manifests() -> list[tuple[str, dict[str, Any]]]:
    """Each object of Kubernetes, with the file that it is in."""
    found = []
    for path in sorted((DEPLOY / "kubernetes").rglob("*.yaml")):
        found += [(path.name, one) for one in documents(path) if one["kind"] != "Kustomization"]
    return found


@cache
def pods() -> dict[str, dict[str, Any]]:
    """The pod of each workload."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for _, one in manifests()
        if one["kind"] in {"Deployment", "Job"}
    }


@cache
def compose() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
    return read


def unit(path: Path) -> tuple[configparser.ConfigParser, list[tuple[str, str]]]:
    """A unit's sections (of a key given twice, the last), and its [Service] line by line."""
    read = configparser.ConfigParser(strict=False, interpolation=None)
    read.optionxform = str  # type: ignore[assignment,method-assign]
    text = path.read_text(encoding="utf-8")
    read.read_string(text)
    body = text.partition("[Service]")[2].partition("[Install]")[0]
    return read, re.findall(r"^(\w+)=(.*)$", body, re.MULTILINE)


def commands() -> list[tuple[str, list[str]]]:
    """Every command line of ours in deploy/, with where it stands."""
    found = [
        (f"compose {name}", one["command"]) for name, one in compose()["services"].items() if name in OURS - {"admin"}
    ]
    found += [(f"kubernetes {name}", pod["containers"][0]["args"]) for name, pod in pods().items()]
    for path in UNITS:
        words = shlex.split(unit(path)[0]["Service"]["ExecStart"])
        found.append((path.name, words[1:]))
    return found


def environments() -> list[tuple[str, list[str]]]:
    """Every variable of ours that deploy/ sets, with where."""
    found = [
        (f"compose {name}", list(one.get("environment") or {}))
        for name, one in compose()["services"].items()
        if name in OURS
    ]
    found += [
        (f"kubernetes {name}", [one["name"] for one in pod["containers"][0]["env"]]) for name, pod in pods().items()
    ]
    for path in UNITS:
        found.append((path.name, [value.partition("=")[0] for key, value in unit(path)[1] if key == "Environment"]))
    found.append(
        ("Containerfile", re.findall(r"\b(COMITY_\w+)=", (DEPLOY / "Containerfile").read_text(encoding="utf-8")))
    )
    return found


@pytest.mark.parametrize(("where", "words"), commands(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_command_exists_with_its_options(where: str, words: list[str]):
    """What a manifest starts is a command of this release, and takes what it is given."""
    command: Any = get_command(app)
    rest = list(words)
    while hasattr(command, "commands"):
        name = rest.pop(0)

        assert name in command.commands, where
        command = command.commands[name]
    context = typer.Context(command)

    assert command.make_parser(context).parse_args(args=rest)[1] == [], where


@pytest.mark.parametrize(("where", "names"), environments(), ids=lambda one: one if isinstance(one, str) else "")
def test_every_variable_is_one_that_is_read(where: str, names: list[str]):
    """A variable that nobody reads would be a limit that does not hold."""
    known = {
        variable(section, key)
        for section, kind in SECTIONS.items()
        for key in (one.name for one in dataclasses.fields(kind))
    }
    known |= {"COMITY_CONFIG", "COMITY_LEDGER"}

    assert set() == {name for name in names if name.startswith("COMITY_")} - known, where


@pytest.mark.parametrize("file", ["comity.toml", "kubernetes/overlays/example/comity.toml"])
def test_the_example_configurations_load(file: str):
    """Each key is known and its value is taken; and what is commented out names keys that exist."""
    path = DEPLOY / file

    assert ("kafka-1", "kafka-1.comity-data")[file != "comity.toml"] == load(path, {}).kafka.bootstrap[0].split(":")[0]

    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"\[(\w+)\]", line):
            section = found[1]
        elif found := re.match(r"# (\w+) = ", line):
            assert found[1] in {one.name for one in dataclasses.fields(SECTIONS[section])}, line


def exposed() -> set[str]:
    """The names that a gateway, a relay, an ingest or a projector answers /metrics with."""
    metrics = Metrics(size=lambda: 1.0, sealed=lambda: 1.0, ready=lambda: 1.0)
    metrics.requests.labels("publish", "POST", "200").inc()
    metrics.seconds.labels("publish").observe(0.1)
    metrics.statements.labels("accepted").inc()

    log = SimpleNamespace(checkpoint=lambda: None, size=lambda: 1)
    relay = SimpleNamespace(pulse=Pulse(), sent=1, sizes={"comity.entries": 1})
    ingest = SimpleNamespace(pulse=Pulse(), count=Count())
    shared = SimpleNamespace(sizes=lambda: {"status": 1}, parked_sizes=lambda: {"status": 0})
    said = [
        metrics.text(),
        text(of_relay(cast("Any", relay), cast("Any", log))),
        text(of_ingest(cast("Any", ingest))),
        text(of_projector(Tally(), cast("Any", shared), cast("Any", log))),
    ]
    return set(re.findall(r"^(comity_\w+)[ {]", b"".join(said).decode(), re.MULTILINE))


def test_every_metric_that_is_asked_for_is_exposed():
    """A rule or a panel on a metric that does not exist would be silent for ever."""
    alerts = documents(DEPLOY / "alerts.yml")[0]["groups"][0]["rules"]
    board = json.loads((DEPLOY / "grafana" / "comity.json").read_text(encoding="utf-8"))
    asked = [one["expr"] for one in alerts] + [target["expr"] for one in board["panels"] for target in one["targets"]]
    named = {name for text in asked for name in re.findall(r"\bcomity_\w+", text)}

    assert len(named) > 5
    assert set() == named - exposed()
    for name in ("relay_lag", "ingest_lag", "ingest_submissions_total", "projection_lag", "projection_parked",
                 "service_seen_timestamp_seconds", "service_interruptions_total"):  # fmt: skip
        assert any(f"comity_{name}" in one["expr"] for one in alerts), name
        assert any(f"comity_{name}" in target["expr"] for one in board["panels"] for target in one["targets"]), name
    assert {"summary", "what_now"} == {key for one in alerts for key in one["annotations"]}


def test_every_metric_of_the_services_is_described():
    """Whoever reads the table finds each by its name, and finds none that is not there."""
    table = (ROOT / "docs" / "reference" / "kafka.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(comity_\w+)", table, re.MULTILINE))

    assert described == {name for name in exposed() if re.match("comity_(service|relay|ingest|project)", name)}


def metrics_addresses() -> dict[str, set[str]]:
    """Where each service says how it is, by service: in compose, in Kubernetes, in systemd."""
    found: dict[str, set[str]] = {}
    for name, one in compose()["services"].items():
        if address := (one.get("environment") or {}).get("COMITY_METRICS_LISTEN"):
            found.setdefault(name, set()).add(address)
    for name, pod in pods().items():
        for one in pod["containers"][0]["env"]:
            if one["name"] == "COMITY_METRICS_LISTEN":
                found.setdefault(name, set()).add(one["value"])
    for path in UNITS:
        for key, value in unit(path)[1]:
            if key == "Environment" and value.startswith("COMITY_METRICS_LISTEN="):
                name = path.name.removeprefix("comity-").split("@")[0].split(".")[0]
                found.setdefault(name, set()).add(value.partition("=")[2].replace("%i", "1"))
    return found


def test_who_waits_for_no_questions_says_how_it_is():
    """Relay, ingest and projectors have an address for it wherever they run, and nobody else has."""
    found = metrics_addresses()

    assert {"relay", "ingest", "projector"} == set(found)
    for name, listens in found.items():
        port = {"relay": 9440, "ingest": 9451, "projector": 9461}[name]
        assert {"0.0.0.0:9440", f"127.0.0.1:{port}"} == listens
        for one in listens:
            assert load(None, {"COMITY_METRICS_LISTEN": one}).metrics.listen == one


def test_everybody_who_says_how_he_is_is_asked():
    """Prometheus scrapes each at the port where it listens; and in Kubernetes whoever scrapes is let through."""
    (read,) = documents(DEPLOY / "prometheus.yml")
    asked = {
        one["job_name"]: (dns["names"], dns["port"]) for one in read["scrape_configs"] for dns in one["dns_sd_configs"]
    }
    (allowed,) = [
        made["spec"]
        for _, made in manifests()
        if made["kind"] == "NetworkPolicy" and "metrics" in made["metadata"]["name"]
    ]

    assert {
        f"comity-{name}": ([name], 8440 if name == "gateway" else 9440)
        for name in ("gateway", "relay", "ingest", "projector")
    } == asked
    assert {"relay", "ingest", "projector"} == set(allowed["podSelector"]["matchExpressions"][0]["values"])
    assert [{"port": 9440, "protocol": "TCP"}] == allowed["ingress"][0]["ports"]
    for name in metrics_addresses():
        assert [{"name": "metrics", "containerPort": 9440}] == pods()[name]["containers"][0]["ports"]
    jobs = {name for one in documents(DEPLOY / "alerts.yml")[0]["groups"][0]["rules"]
            for name in re.findall(r"job=~?\"comity-\(?([\w|]+)", one["expr"])}  # fmt: skip
    assert {"gateway", "relay|ingest|projector"} == jobs


def test_the_route_that_is_watched_is_counted_under_that_name():
    """Latency of publishing is asked for by its route."""
    said = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "ledger" / "gateway").glob("*.py"))

    assert re.search(r'Route\("publish"', said)


@pytest.mark.parametrize(("file", "made"), manifests(), ids=lambda one: one if isinstance(one, str) else "")
def test_manifests_fit_the_schemas_of_kubernetes(file: str, made: dict[str, Any]):
    """Each object has the shape that the API takes, and no key that it would drop; none is a secret."""
    kubernetes_validate.validate(made, KUBERNETES, strict=True)

    assert "Secret" != made["kind"]


@pytest.mark.parametrize("name", sorted(pods()))
def test_pods_are_locked_down(name: str):
    """Not root, no capability, nothing to write to but what is mounted, no token of the cluster, bounded memory."""
    pod = pods()[name]
    (container,) = pod["containers"]

    assert pod["securityContext"]["runAsNonRoot"] is True
    assert {"type": "RuntimeDefault"} == pod["securityContext"]["seccompProfile"]
    assert pod["automountServiceAccountToken"] is False
    assert {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    } == container["securityContext"]
    assert "memory" in container["resources"]["limits"]
    assert {one["name"] for one in pod["volumes"]} == {one["name"] for one in container["volumeMounts"]}
    # Others cannot open them: the services refuse secrets that they can.
    assert [] == [one for one in pod["volumes"] if "secret" in one and one["secret"]["defaultMode"] != 0o440]


def test_only_those_who_append_have_the_keys_of_the_log():
    """A relay or a projector that is broken into cannot sign a checkpoint."""
    by_kubernetes = {name for name, pod in pods().items() if any(one["name"] == "keys" for one in pod["volumes"])}
    by_compose = {name for name, one in compose()["services"].items() if "log.key" in one.get("secrets", [])}
    by_systemd = {
        path.name.split("@")[0].split(".")[0] for path in UNITS if any(k == "LoadCredential" for k, _ in unit(path)[1])
    }

    assert {"gateway", "ingest"} == by_kubernetes == by_compose
    assert {"comity-gateway", "comity-ingest"} == by_systemd


def test_budgets_and_policies_select_what_exists():
    """A selector that matches nothing protects nothing; and what is not allowed is denied."""
    names = set(pods())
    for _, made in manifests():
        if made["kind"] == "PodDisruptionBudget":
            assert made["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] in names
        if made["kind"] == "NetworkPolicy":
            selector = made["spec"]["podSelector"]
            for one in selector.get("matchExpressions", []):
                assert set(one["values"]) <= names
            assert selector.get("matchLabels", {}).get("app.kubernetes.io/name", "gateway") in names
    policies = [made["spec"] for _, made in manifests() if made["kind"] == "NetworkPolicy"]

    assert {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]} in policies


def test_containers_of_compose_are_locked_down():
    """No capability and no new privileges anywhere; ours run as nobody, from a root file system that is read-only."""
    for name, one in compose()["services"].items():
        assert ["ALL"] == one["cap_drop"], name
        assert ["no-new-privileges:true"] == one["security_opt"], name
        if name in OURS:
            assert one["read_only"] is True, name
            assert "10001:10001" == one["user"], name


def test_compose_names_nothing_that_is_not_there():
    """Files, secrets, networks, volumes and services that are named exist; secrets are outside the repository."""
    read = compose()
    for one in read["configs"].values():
        assert (DEPLOY / one["file"]).exists()
    for one in read["secrets"].values():
        assert one["file"].startswith("./secrets/")
    for name, one in read["services"].items():
        secrets = [s if isinstance(s, str) else s["source"] for s in one.get("secrets", [])]
        assert set(secrets) <= set(read["secrets"]), name
        assert {c["source"] for c in one.get("configs", [])} <= set(read["configs"]), name
        assert set(one["networks"]) <= set(read["networks"]), name
        assert set(one.get("depends_on", {})) <= set(read["services"]), name
        for volume in one.get("volumes", []):
            source = volume.split(":")[0]
            assert source.startswith("./") or source in read["volumes"], name
    brokers = [one for one in read["services"] if one.startswith("kafka-")]
    voters = read["services"]["kafka-1"]["environment"]["KAFKA_CONTROLLER_QUORUM_VOTERS"]

    assert [f"{one}:9092" for one in brokers] == list(load(DEPLOY / "comity.toml", {}).kafka.bootstrap)
    assert [f"{number}@{one}:9093" for number, one in enumerate(brokers, 1)] == voters.split(",")
    assert (DEPLOY / ".gitignore").read_text(encoding="utf-8").split() == ["/secrets/", "/ceremony/"]


@pytest.mark.parametrize("path", UNITS, ids=lambda path: path.name)
def test_units_are_locked_down(path: Path):
    """A service that is broken into has no privileges, no home, no device, and no way to get any."""
    service = unit(path)[0]["Service"]

    assert LOCKED == {key: service[key] for key in LOCKED}
    assert "~@privileged @resources" == service["SystemCallFilter"]


def test_the_image_installs_what_is_pinned_and_runs_as_nobody():
    """Nothing is installed without its hash, and the last user is not root."""
    text = (DEPLOY / "Containerfile").read_text(encoding="utf-8")
    installs = re.findall(r"pip install ([^\n]+)", text)

    assert all("--require-hashes" in one or "--no-index" in one for one in installs)
    assert 2 == len(installs)
    assert "10001:10001" == re.findall(r"^USER (\S+)$", text, re.MULTILINE)[-1]
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        for name in source.split():
            assert (ROOT / name).exists(), name
