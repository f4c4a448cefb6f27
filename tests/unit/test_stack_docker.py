"""Image, compose file, chart values and manifests: they agree with the package, and hold no secret."""

from __future__ import annotations

import re

import pytest
import yaml

from closingbell.settings import REPOSITORY, Settings

DOCKER = REPOSITORY / "docker"
TEXTS = {path.name: path.read_text() for path in sorted(DOCKER.iterdir())}


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


def test_the_context_of_the_image_holds_what_it_copies() -> None:
    copied = [source for line in re.findall(r"^COPY (.+) \S+$", TEXTS["Dockerfile"], re.M) for source in line.split()]
    allowed = [line[1:] for line in TEXTS["Dockerfile.dockerignore"].splitlines() if line.startswith("!")]
    assert copied
    for source in copied:
        assert (REPOSITORY / source).exists(), source
        assert source in allowed, source


def test_the_migrate_jobs_make_the_pools() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["services"]["migrate"]["command"]
    chart = yaml.safe_load(TEXTS["values.yaml"])["migrateDatabaseJob"]["args"]
    for command in (compose, chart):
        steps = command[-1].split(" && ")
        assert steps.index("airflow db migrate") < steps.index("closingbell airflow-settings")
    assert "airflow_settings.yaml" in TEXTS["Dockerfile"]


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


def test_step_pods_have_the_settings_and_room_for_a_run_s_batches() -> None:
    from closingbell.orchestration.groups import CLUSTER_PODS

    manifests = {document["kind"]: document for document in yaml.safe_load_all(TEXTS["kubernetes.yaml"])}
    (container,) = yaml.safe_load(TEXTS["pod_template.yaml"])["spec"]["containers"]
    (source,) = container["envFrom"]
    assert source["configMapRef"]["name"] == manifests["ConfigMap"]["metadata"]["name"]
    room = _gibibytes(manifests["ResourceQuota"]["spec"]["hard"]["limits.memory"])
    fields = Settings.model_fields
    batch, indicators = (fields[f"{name}_memory"].default for name in ("fundamentals", "indicators"))
    assert _gibibytes(batch) * CLUSTER_PODS + _gibibytes(indicators) <= room


def _gibibytes(quantity: str) -> int:
    return int(quantity.removesuffix("Gi"))


def test_json_logs_and_metrics_are_airflows_own_variables() -> None:
    compose = yaml.safe_load(TEXTS["compose.yaml"])["x-airflow"]["environment"]
    assert {"AIRFLOW__LOGGING__JSON_LOGS", "AIRFLOW__METRICS__STATSD_ON", "AIRFLOW__METRICS__STATSD_HOST"} <= set(
        compose
    )
    assert yaml.safe_load(TEXTS["values.yaml"])["config"]["logging"]["json_logs"] == "True"


def test_no_password_or_key_is_written() -> None:
    for name, text in TEXTS.items():
        text = re.sub(r"\$\{[^}]*\}", "", text)  # what the environment gives
        for value in re.findall(
            r"""(?i)(?<!account)(?:password|api_key|secret_key|token)["']?[ \t]*[:=][ \t]*["']?([^"'\s,}]+)""", text
        ):
            raise AssertionError(f"{name} writes {value}")
