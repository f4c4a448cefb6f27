"""Image, compose file, chart values and manifests: they agree with the package, and hold no secret."""

from __future__ import annotations

import ast
import copy
import re
import sys
from typing import Any

import pytest
import yaml

from closingbell.settings import REPOSITORY, Settings
from closingbell.stack import keys

DOCKER = REPOSITORY / "docker"
TEXTS = {path.name: path.read_text() for path in sorted(DOCKER.iterdir()) if path.is_file()}


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_setting_that_is_named_exists(name: str) -> None:
    known = {f"CLOSINGBELL_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"CLOSINGBELL_[A-Z0-9_]+", TEXTS[name])) <= known


@pytest.mark.parametrize("name", [name for name in TEXTS if name.endswith(".yaml")])
def test_every_file_is_valid_yaml(name: str) -> None:
    assert all(document for document in yaml.safe_load_all(TEXTS[name]))


def test_versions_are_those_of_the_lock() -> None:
    lock = dict(re.findall(r"^([\w.-]+)==(\S+)$", (REPOSITORY / "requirements.lock").read_text(), re.M))
    assert yaml.safe_load(TEXTS["values.yaml"])["airflowVersion"] == lock["apache-airflow"]
    assert "FROM python:3.11" in TEXTS["Dockerfile"]


def test_the_lock_holds_no_gpu_package_no_local_version_and_no_index() -> None:
    lines = (REPOSITORY / "requirements.lock").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[A-Za-z0-9.!]+", pin) for pin in pins)
    assert not [pin for pin in pins if re.match(r"(nvidia|triton|cuda)", pin)]
    assert "torch==2.13.0" in pins


def test_the_lock_meets_every_direct_requirement() -> None:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    lock = dict(re.findall(r"^([\w.-]+)==(\S+)$", (REPOSITORY / "requirements.lock").read_text(), re.M))
    for line in (REPOSITORY / "requirements.txt").read_text().splitlines():
        text, _, reason = line.partition("#")
        if text.strip():
            wanted = Requirement(text.strip())
            assert wanted.specifier.contains(lock[canonicalize_name(wanted.name)]), wanted
            assert reason.strip(), f"{wanted.name} gives no reason"


def test_what_the_deployment_imports_is_required_by_name() -> None:
    from importlib.metadata import packages_distributions

    from packaging.utils import canonicalize_name

    requirements = (REPOSITORY / "requirements.txt").read_text()
    required = {canonicalize_name(name) for name in re.findall(r"^[\w-]+", requirements, re.M)}
    imported: dict[str, str] = {}
    for path in (path for root in ("include", "dags", "plugins") for path in (REPOSITORY / root).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and not node.level:
                imported[str(node.module).partition(".")[0]] = path.name
            elif isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0]: path.name for alias in node.names}
    providers = packages_distributions()
    foreign = {name: path for name, path in imported.items() if name not in {*sys.stdlib_module_names, "closingbell"}}
    unnamed = [
        item for item in foreign.items() if not required & set(map(canonicalize_name, providers.get(item[0], [])))
    ]
    assert foreign
    assert unnamed == []


def test_the_context_of_the_image_holds_what_it_copies() -> None:
    copied = [source for line in re.findall(r"^COPY (.+) \S+$", TEXTS["Dockerfile"], re.M) for source in line.split()]
    allowed = [line[1:] for line in TEXTS["Dockerfile.dockerignore"].splitlines() if line.startswith("!")]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source in allowed, source


def test_the_migrate_jobs_make_the_pools_and_the_warehouse() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["services"]["migrate"]["command"]
    chart = yaml.safe_load(TEXTS["values.yaml"])["migrateDatabaseJob"]["args"]
    for command in (compose, chart):
        steps = command[-1].split(" && ")
        assert steps.index("airflow db migrate") < steps.index("closingbell airflow-settings")
        assert "closingbell migrate" in steps
    assert "airflow_settings.yaml" in TEXTS["Dockerfile"]


def test_market_close_wakes_after_every_close_without_anybody_who_unpauses_it() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["x-airflow"]["environment"]
    assert compose["AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION"] == "False"
    assert yaml.safe_load(TEXTS["values.yaml"])["config"]["core"]["dags_are_paused_at_creation"] == "False"


def test_pods_run_as_the_images_user_and_not_as_root() -> None:
    pod = yaml.safe_load(TEXTS["pod_template.yaml"])
    user = int(re.search(r"useradd --uid (\d+)", TEXTS["Dockerfile"]).group(1))  # type: ignore[union-attr]
    assert pod["spec"]["securityContext"]["runAsUser"] == user
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    policy = next(d for d in yaml.safe_load_all(TEXTS["kubernetes.yaml"]) if d["kind"] == "NetworkPolicy")
    assert policy["spec"]["podSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()


def test_tasks_may_start_step_pods_and_nothing_else() -> None:
    manifests = {document["kind"]: document for document in yaml.safe_load_all(TEXTS["kubernetes.yaml"])}
    binding, role = manifests["RoleBinding"], manifests["Role"]
    account = manifests["ServiceAccount"]["metadata"]
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role"} | {
        "name": role["metadata"]["name"]
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account}]
    workers = yaml.safe_load(TEXTS["values.yaml"])["workers"]["serviceAccount"]
    assert workers == {"create": False, "name": account["name"]}
    allowed = {resource: set(rule["verbs"]) for rule in role["rules"] for resource in rule["resources"]}
    # what the pod operator asks for: see `Cluster` in test_pod_operator.py
    assert {"create", "get", "list", "patch", "delete"} <= allowed["pods"]
    assert "get" in allowed["pods/log"]
    assert "list" in allowed["events"]
    assert "secrets" not in allowed
    settings = manifests["ConfigMap"]
    assert account["namespace"] == settings["metadata"]["namespace"] == settings["data"]["CLOSINGBELL_POD_NAMESPACE"]


def test_step_pods_have_the_settings() -> None:
    manifests = {document["kind"]: document for document in yaml.safe_load_all(TEXTS["kubernetes.yaml"])}
    (container,) = yaml.safe_load(TEXTS["pod_template.yaml"])["spec"]["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == manifests["ConfigMap"]["metadata"]["name"]


def test_finbert_goes_into_the_image_and_its_steps_score_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = set(re.findall(r"^ARG (\w+)", TEXTS["Dockerfile"], re.M))
    compose = yaml.safe_load(TEXTS["compose.yaml"])
    assert {"FINBERT", "FINBERT_REVISION"} <= arguments
    assert compose["services"]["migrate"]["build"]["args"] == {name: f"${{{name}:-}}" for name in arguments}
    (folder,) = re.findall(r'python docker/finbert.py "\$FINBERT" (\S+) \$\{', TEXTS["Dockerfile"])
    assert '${FINBERT_REVISION:+--revision "$FINBERT_REVISION"}' in TEXTS["Dockerfile"]
    assert f"CLOSINGBELL_FINBERT=${{FINBERT:+{folder}}}\n" in TEXTS["Dockerfile"]
    # a path of .env is one of the host
    assert compose["x-airflow"]["environment"]["CLOSINGBELL_FINBERT"] == f"${{FINBERT:+{folder}}}"
    monkeypatch.setenv("CLOSINGBELL_FINBERT", "")  # as an image without the model has it
    assert Settings(_env_file=None).finbert is None
    monkeypatch.setenv("CLOSINGBELL_FINBERT", folder)
    assert str(Settings(_env_file=None).finbert) == folder


def test_no_quota_refuses_the_charts_containers_without_a_limit() -> None:
    quotas = [d for d in yaml.safe_load_all(TEXTS["kubernetes.yaml"]) if d["kind"] == "ResourceQuota"]
    assert not [quota for quota in quotas if "scopeSelector" not in quota["spec"]]


def test_the_chart_makes_no_user_that_the_auth_manager_does_not_know() -> None:
    values = yaml.safe_load(TEXTS["values.yaml"])
    assert "SimpleAuthManager" in values["config"]["core"]["auth_manager"]
    assert values["createUserJob"]["enabled"] is False
    assert values["webserver"]["defaultUser"]["enabled"] is False


def test_compose_writes_no_vendors_connection_and_starts_airflow_with_those_of_the_keys() -> None:
    """A variable hides Admin > Connections, so one without a key would be half a connection."""
    compose = yaml.safe_load(TEXTS["compose.yaml"])
    connections = {name for name in compose["x-airflow"]["environment"] if name.startswith("AIRFLOW_CONN_")}
    assert connections == {"AIRFLOW_CONN_AIRFLOW_DB"}
    parts = {name: part["command"] for name, part in compose["services"].items() if name not in ("postgres", "migrate")}
    assert {command[2] for command in parts.values()} == {"api-server", "scheduler", "dag-processor", "triggerer"}
    assert all(command[:2] == ["closingbell", "airflow"] for command in parts.values())
    named = set(re.findall(r"_([A-Z_]+)", TEXTS["kubernetes.yaml"].split("apiVersion")[0]))
    assert {conn_id.upper() for conn_id in keys.KEYS} <= {name.removeprefix("CONN_") for name in named}


def test_json_logs_and_metrics_are_airflows_own_variables() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["x-airflow"]["environment"]
    assert {"AIRFLOW__LOGGING__JSON_LOGS", "AIRFLOW__METRICS__STATSD_ON", "AIRFLOW__METRICS__STATSD_HOST"} <= set(
        compose
    )
    assert yaml.safe_load(TEXTS["values.yaml"])["config"]["logging"]["json_logs"] == "True"


def test_the_landing_zone_of_a_volume_belongs_to_the_images_user() -> None:
    """Docker gives a new named volume the owner of the image's folder, and root where the image has none."""
    (volume,) = [v for v in yaml.safe_load(TEXTS["compose.yaml"])["x-airflow"]["volumes"] if v.endswith("landing")]
    (made,) = re.findall(r"mkdir -p (.*) \\\n", TEXTS["Dockerfile"])
    assert volume.partition(":/opt/closing-bell/")[2] in made.split()


def test_no_password_or_key_is_written() -> None:
    for name, text in TEXTS.items():
        text = re.sub(r"\$\{[^}]*\}", "", text)  # what the environment gives
        for value in re.findall(
            r"""(?i)(?<!account)(?:password|api_key|secret_key|token)["']?[ \t]*[:=][ \t]*["']?([^"'\s,}]+)""", text
        ):
            raise AssertionError(f"{name} writes {value}")


KUBERNETES = [
    (name, document)
    for name in ("api.yaml", "kubernetes.yaml", "pod_template.yaml")
    for document in yaml.safe_load_all(TEXTS[name])
]


def unlike_the_schema(value: Any, kind: str, where: str) -> list[str]:
    """What of a manifest is not as the Kubernetes API describes it: fields it does not have, or that are missing."""
    from kubernetes import client

    if match := re.fullmatch(r"(list|dict)[(\[](?:str, )?(.+)[)\]]", kind):
        if not isinstance(value, {"list": list, "dict": dict}[match[1]]):
            return [f"{where} is no {match[1]}"]
        items = value.items() if match[1] == "dict" else enumerate(value)
        return [wrong for at, one in items for wrong in unlike_the_schema(one, match[2], f"{where}.{at}")]
    model = getattr(client, kind, None)
    if model is None:
        plain = {"str": str, "int": int, "bool": bool, "float": (int, float)}.get(kind, object)
        wrong = not isinstance(value, plain) or (kind == "int" and isinstance(value, bool))
        return [f"{where} is {value!r}, not {kind}"] if wrong else []
    if not isinstance(value, dict):
        return [f"{where} is {value!r}, not {kind}"]
    fields = {written: field for field, written in model.attribute_map.items()}
    found = [f"{where}.{name} is no field of {kind}" for name in value if name not in fields]
    known = {fields[name]: one for name, one in value.items() if name in fields}
    try:
        model(**known)
    except ValueError as error:  # a field that must be there
        found.append(f"{where}: {error}")
    for field, one in known.items():
        found += unlike_the_schema(one, model.openapi_types[field], f"{where}.{model.attribute_map[field]}")
    return found


MODELS = {
    ("apps/v1", "Deployment"): "V1Deployment",
    ("batch/v1", "CronJob"): "V1CronJob",
    ("networking.k8s.io/v1", "Ingress"): "V1Ingress",
    ("networking.k8s.io/v1", "NetworkPolicy"): "V1NetworkPolicy",
    ("policy/v1", "PodDisruptionBudget"): "V1PodDisruptionBudget",
    ("rbac.authorization.k8s.io/v1", "Role"): "V1Role",
    ("rbac.authorization.k8s.io/v1", "RoleBinding"): "V1RoleBinding",
    **{("v1", kind): f"V1{kind}" for kind in ("ConfigMap", "Namespace", "Pod", "Service", "ServiceAccount")},
}


@pytest.mark.parametrize(("name", "document"), KUBERNETES, ids=[f"{name} {d['kind']}" for name, d in KUBERNETES])
def test_manifests_are_what_the_kubernetes_api_describes(name: str, document: dict[str, Any]) -> None:
    model = MODELS[document["apiVersion"], document["kind"]]
    assert unlike_the_schema(document, model, document["kind"]) == []


def test_a_wrong_manifest_is_seen() -> None:
    deployment = copy.deepcopy(next(d for _, d in KUBERNETES if d["kind"] == "Deployment"))
    deployment["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    deployment["spec"]["replicas"] = "3"
    del deployment["spec"]["selector"]
    wrong = unlike_the_schema(deployment, "V1Deployment", "Deployment")
    assert len(wrong) == 3, wrong


def test_the_api_is_three_processes_behind_one_address() -> None:
    documents = {document["kind"]: document for name, document in KUBERNETES if name == "api.yaml"}
    deployment, service, ingress = (documents[kind] for kind in ("Deployment", "Service", "Ingress"))
    assert deployment["spec"]["replicas"] == 3
    pod = deployment["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert [port["containerPort"] for port in container["ports"]] == [8000]
    assert container["command"][:2] == ["uvicorn", "closingbell.api.main:app"]
    assert container["command"][container["command"].index("--port") + 1] == "8000"
    assert container["command"][container["command"].index("--forwarded-allow-ips") + 1] == "*", "cookies by TLS only"
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert container["readinessProbe"]["httpGet"]["path"] == "/health"
    assert service["spec"]["type"] == "ClusterIP"
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert service["spec"]["ports"][0]["port"] == 8000
    paths = ingress["spec"]["rules"][0]["http"]["paths"]
    assert [path["path"] for path in paths] == ["/api/", "/scoreboard"]
    assert {path["backend"]["service"]["name"] for path in paths} == {service["metadata"]["name"]}
    user = int(re.search(r"useradd --uid (\d+)", TEXTS["Dockerfile"]).group(1))  # type: ignore[union-attr]
    assert pod["spec"]["securityContext"]["runAsUser"] == user
