"""compose.yaml: pinned images, and key material where the design says it is."""

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
