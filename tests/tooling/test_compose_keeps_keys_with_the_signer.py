"""compose.yaml: pinned images, and key material where the design says it is."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
MAY_OPEN_KEYS = {"signer", "prepare"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((ROOT / "compose.yaml").read_text())
    return content["services"]


def test_every_image_names_its_version(services: dict[str, dict[str, Any]]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert any(character.isdigit() for character in tag), f"{name} runs {service['image']}"


def test_only_the_signer_and_the_one_run_before_it_can_open_the_keys(services: dict[str, dict[str, Any]]) -> None:
    with_passphrase = {name for name, service in services.items() if "key_passphrase" in service.get("secrets", [])}
    with_volume = {
        name
        for name, service in services.items()
        if any(volume.startswith("keys:") for volume in service.get("volumes", []))
    }
    assert with_passphrase == with_volume == MAY_OPEN_KEYS


def test_nothing_but_the_site_listens_outside_and_that_on_this_machine_only(
    services: dict[str, dict[str, Any]],
) -> None:
    ports = {name: service["ports"] for name, service in services.items() if "ports" in service}
    assert ports == {"web": ["127.0.0.1:8000:8000"]}


def test_a_chain_of_its_own_comes_only_when_asked_for(services: dict[str, dict[str, Any]]) -> None:
    assert services["anvil"]["profiles"] == ["development"]
    assert all("profiles" not in service for name, service in services.items() if name != "anvil")


def test_every_setting_reaches_the_containers_that_is_not_a_place_in_them(services: dict[str, dict[str, Any]]) -> None:
    guide = (ROOT / "docs" / "operators.md").read_text()
    settings = set(re.findall(r"^\| `([A-Z_]+)` \|", guide, flags=re.MULTILINE))
    of_the_image = {
        "CADASTRE_VAR", "CADASTRE_STATIC_ROOT", "CADASTRE_BLOCK_DIR", "CADASTRE_UPLOAD_DIR", "CADASTRE_LOG_DIR",
        "CADASTRE_KEY_FILE",
    }  # fmt: skip
    secrets = {"CADASTRE_SECRET_KEY", "CADASTRE_KEY_PASSPHRASE", "DATABASE_URL"}
    given = {name.removesuffix("_FILE") for name in services["web"]["environment"]}
    assert settings - of_the_image - secrets <= given
    assert given <= settings | {"CADASTRE_POSTGRES"}


def test_the_web_server_is_started_the_same_way_everywhere(services: dict[str, dict[str, Any]]) -> None:
    words = services["web"]["command"]
    image = json.loads((ROOT / "Dockerfile").read_text().rpartition("CMD ")[2])
    bare = " ".join(words).replace("=", " ")
    assert bare == " ".join(image)
    guide = (ROOT / "docs" / "operators.md").read_text()
    assert f"`{bare.replace(' --bind 0.0.0.0:8000', '')}`" in guide


def test_what_ends_is_started_again(services: dict[str, dict[str, Any]]) -> None:
    """A Celery worker whose broker was killed at a wrong moment ends; nothing but its supervisor brings it back."""
    policies = {name: service["restart"] for name, service in services.items()}
    assert policies.pop("prepare") == "on-failure"
    assert set(policies.values()) == {"unless-stopped"}


def test_workers_have_names_of_their_own_as_the_guide_says(services: dict[str, dict[str, Any]]) -> None:
    """RabbitMQ refuses a second worker of one name, which is what two on one machine have by default."""
    guide = (ROOT / "docs" / "operators.md").read_text()
    for service, name in (("worker", "work@%h"), ("signer", "signer@%h")):
        words = services[service]["command"]
        assert words[words.index("--hostname") + 1] == name
        assert f"`{' '.join(words).removesuffix(' --loglevel INFO')}`" in guide
