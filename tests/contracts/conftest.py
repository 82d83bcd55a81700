"""One chain with everything deployed for the tests of the contracts, apart from the chain that others share."""

from collections.abc import Iterator

import pytest

from contracts.devnet import Devnet
from tests.services import chain


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory, process_number: int) -> Iterator[Devnet]:
    """Contracts deployed as docs/chain.md says; each block is one second after the one before."""
    node = chain.start(tmp_path_factory.mktemp("contracts"), number=100 + process_number)
    net = Devnet(node.url)
    net.rpc("anvil_setBlockTimestampInterval", 1)
    net.set_up()
    yield net
    net.close()
    node.stop()


@pytest.fixture
def devnet(deployed: Devnet) -> Iterator[Devnet]:
    """The same chain, left as it was found."""
    snapshot = deployed.rpc("evm_snapshot")
    yield deployed
    deployed.rpc("evm_revert", snapshot)
