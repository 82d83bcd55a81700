"""Deploys the contracts in the order of docs/chain.md, and wires roles, token, proposer and fee payee.

Run once per deployment, by a person or by the first start of a development instance. Nothing of it is repeated: a
deployment that broke off is left alone, and the next try makes a fresh one beside it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from provenance.adapters.evm import EvmChain
from provenance.adapters.evm_abi import load_artifact
from provenance.core.typed_data import Domain, StructType, TypedData
from provenance.ports import Call, ChainRefusal, KeyRing, Receipt

DEPLOYER, FEE_ACCOUNT, GUARDIAN, OPERATOR = "deployer", "treasury", "guardian", "lane/operator"
TOKEN_PROOF = 10_000
"""Base units that the Market takes from the deployer and gives back, to see how the token behaves."""

RECEIPT_SECONDS = 180.0
WEEK = 7 * 86_400
ABI_VERSION = "2"
"""Written beside each deployment. 1, which nothing live ever spoke, named pushed payouts by their positions."""
_ADMIN, _GUARDIAN, _REFUNDER, _RESOLVER, _STEWARD, _TREASURER = range(6)
_MARKET_ROLES = {
    _GUARDIAN: ("veto",),
    _REFUNDER: ("refund",),
    _RESOLVER: ("freeze", "unfreeze", "setBeneficiary"),
    _STEWARD: ("allowToken", "stopToken", "setURI"),
    _TREASURER: ("setFee", "setProposer", "setFeePayee", "withdrawForfeits"),
}
_REGISTRY_ROLES = {_STEWARD: ("setBaseURI",), _TREASURER: ("addLicenseSource",)}
_ACCEPTANCE = StructType("PayeeAcceptance(address account,uint256 deadline)")


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketConfig:
    """What a Market is built with, for ever. Times in seconds, `bond` in base units."""

    fee_bps: int = 250
    bucket: int = 86_400
    epoch: int = 2_592_000
    window: int = 259_200
    finality: int = 900
    notice: int = 3_024_000
    idle: int = 2_592_000
    open_window: int = 1_209_600
    payee_delay: int = 259_200
    bond: int = 1_000_000_000

    @classmethod
    def for_development(cls, *, epoch: int, window: int, fee_bps: int = 250) -> MarketConfig:
        """Short windows around the given epoch and window."""
        return cls(
            fee_bps=fee_bps, bucket=3_600, epoch=epoch, window=window, finality=10, notice=epoch + window + 60,
            idle=max(epoch, 60), open_window=2 * window + 1, payee_delay=max(window, 1), bond=1_000_000,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Deployed:
    """Addresses by contract name, lower case, and the block of the first of them."""

    addresses: Mapping[str, str]
    token: str
    first_block: int


class Deployer:
    """Sends one transaction after another with the deployer's key and waits for each."""

    def __init__(self, url: str, chain_id: int, ring: KeyRing) -> None:
        self._url, self._chain_id, self._ring = url, chain_id, ring
        self._chain = EvmChain(url, chain_id=chain_id, addresses={})
        self._chain.check()
        self.address = ring.address(DEPLOYER)

    def deploy(self, *, config: MarketConfig, base_uri: str, token: str | None, is_live: bool) -> Deployed:
        """Deploy and wire everything; `token` None deploys TestUSD, which no live network gets.

        Raises ChainRefusal.
        """
        if token is None and is_live:
            raise ChainRefusal("deploy.token", "A live network is paid in a real token.", todo="Name its address.")
        first = self._create("AccessManager", self.address)
        manager = str(first.contract)
        usd = token.lower() if token else str(self._create("TestUSD").contract)
        registry = str(self._create("DatasetRegistry", manager, f"{base_uri}/d/").contract)
        values = _config_values(config, registry, manager)
        extension = str(self._create("MarketExtension", values).contract)
        market = str(self._create("Market", values, extension, f"{base_uri}/l/{{id}}").contract)
        anchor = str(self._create("EvidenceAnchor").contract)
        addresses = {
            "AccessManager": manager, "TestUSD": usd, "DatasetRegistry": registry, "Market": market,
            "EvidenceAnchor": anchor,
        }  # fmt: skip
        self._chain = EvmChain(self._url, chain_id=self._chain_id, addresses=addresses)
        self._wire(is_live=is_live, mints=token is None)
        return Deployed(addresses, usd, first.block_number)

    def _wire(self, *, is_live: bool, mints: bool) -> None:
        for contract, roles in (("Market", _MARKET_ROLES), ("DatasetRegistry", _REGISTRY_ROLES)):
            interface = load_artifact(contract)
            for role, functions in roles.items():
                selectors = [interface.selector(function) for function in functions]
                self._send("AccessManager", "setTargetFunctionRole", self._chain.address(contract), selectors, role)
        for role in (_STEWARD, _TREASURER):
            self._send("AccessManager", "grantRole", role, self.address, 0)
        self._send("DatasetRegistry", "addLicenseSource", self._chain.address("Market"))
        self._allow_token(mints=mints)
        self._name_fee_payee()
        operator = self._ring.address(OPERATOR)
        self._send("Market", "setProposer", self._chain.address("TestUSD"), operator)
        self._send("AccessManager", "grantRole", _GUARDIAN, self._ring.address(GUARDIAN), 0)
        for role in (_REFUNDER, _RESOLVER):
            self._send("AccessManager", "grantRole", role, operator, 0)
        if is_live:
            self._send("AccessManager", "grantRole", _TREASURER, self.address, WEEK)

    def _allow_token(self, *, mints: bool) -> None:
        if mints:
            self._send("TestUSD", "mint", self.address, TOKEN_PROOF)
        self._send("TestUSD", "approve", self._chain.address("Market"), TOKEN_PROOF)
        self._send("Market", "allowToken", self._chain.address("TestUSD"))

    def _name_fee_payee(self) -> None:
        account = self._ring.address(FEE_ACCOUNT)
        deadline = self._chain.header("latest").timestamp + WEEK
        domain = Domain("Cadastre Market", self._chain_id, self._chain.address("Market"))
        typed = TypedData(domain, _ACCEPTANCE, {"account": account, "deadline": deadline})
        signature = self._ring.sign_typed_data(FEE_ACCOUNT, typed.to_json()).signature
        self._send("Market", "acceptPayee", account, deadline, signature)
        self._send("Market", "setFeePayee", self._chain.read("Market", "payeeOf", account))

    def _create(self, name: str, *args: object) -> Receipt:
        return self._sent(Call(None, load_artifact(name).encode_creation(args)), name)

    def _send(self, contract: str, function: str, *args: object) -> Receipt:
        call = Call(self._chain.address(contract), self._chain.encode(contract, function, *args))
        return self._sent(call, f"{contract}.{function}")

    def _sent(self, call: Call, what: str) -> Receipt:
        gas = self._chain.simulate(call, sender=self.address) * 13 // 10
        fees = self._chain.fees()
        fields: dict[str, object] = {
            "chainId": self._chain_id, "nonce": self._chain.nonce(self.address), "value": 0, "data": call.data,
            "gas": gas, "maxFeePerGas": 2 * fees.base_fee + fees.priority_fee,
            "maxPriorityFeePerGas": fees.priority_fee,
        }  # fmt: skip
        if call.to is not None:
            fields["to"] = bytes.fromhex(call.to.removeprefix("0x"))
        signed = self._ring.sign_transaction(DEPLOYER, fields)
        receipt = self._awaited(self._chain.send_raw(signed.raw), what)
        if not receipt.succeeded:
            raise ChainRefusal("deploy.reverted", f"The deployment stopped at {what}.", actual=receipt.tx)
        return receipt

    def _awaited(self, tx: str, what: str) -> Receipt:
        deadline = time.monotonic() + RECEIPT_SECONDS
        while time.monotonic() < deadline:
            receipt = self._chain.receipt(tx)
            if receipt is not None:
                return receipt
            time.sleep(0.05)
        raise ChainRefusal(
            "deploy.not_mined", f"{what} was not mined in time.", limit=f"{RECEIPT_SECONDS:g} s", actual=tx,
            todo="Look at the transaction, then start again: the next try deploys beside this one.",
        )  # fmt: skip


def _config_values(config: MarketConfig, registry: str, authority: str) -> tuple[object, ...]:
    return (
        registry, authority, config.fee_bps, config.bucket, config.epoch, config.window, config.finality,
        config.notice, config.idle, config.open_window, config.payee_delay, config.bond,
    )  # fmt: skip
