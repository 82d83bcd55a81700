// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IERC1155} from "@openzeppelin/contracts/interfaces/IERC1155.sol";

import {DatasetRegistry} from "../src/DatasetRegistry.sol";
import {TestUSD} from "../src/TestUSD.sol";
import {IDatasetRegistry} from "../src/interfaces/IDatasetRegistry.sol";
import {IDisputes} from "../src/interfaces/IDisputes.sol";
import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {IPayees} from "../src/interfaces/IPayees.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {ITokens} from "../src/interfaces/ITokens.sol";
import {IUsage} from "../src/interfaces/IUsage.sol";
import {PayoutTree} from "../src/lib/PayoutTree.sol";

/// @dev The cheat codes of forge that these tests use.
interface Vm {
    function addr(uint256 key) external returns (address);
    function chainId(uint256 id) external;
    function expectEmit(address emitter) external;
    function expectRevert() external;
    function expectRevert(bytes calldata reason) external;
    function expectPartialRevert(bytes4 selector) external;
    function getCode(string calldata what) external view returns (bytes memory);
    function getBlockTimestamp() external view returns (uint256);
    function prank(address sender) external;
    function roll(uint256 number) external;
    function setBlockhash(uint256 number, bytes32 hash) external;
    function sign(uint256 key, bytes32 digest) external returns (uint8 v, bytes32 r, bytes32 s);
    function warp(uint256 time) external;
}

/// @dev All that Market answers to, by its own code or its extension's.
interface IWholeMarket is ITokens, ILicenses, IUsage, IPayouts, IPayees, IDisputes, IMarket {
    function balanceOf(address account, uint256 id) external view returns (uint256);
    function balanceOfBatch(address[] calldata accounts, uint256[] calldata ids)
        external
        view
        returns (uint256[] memory);
    function isApprovedForAll(address account, address operator) external view returns (bool);
    function safeTransferFrom(address from, address to, uint256 id, uint256 amount, bytes calldata data) external;
    function safeBatchTransferFrom(
        address from,
        address to,
        uint256[] calldata ids,
        uint256[] calldata amounts,
        bytes calldata data
    ) external;
    function setApprovalForAll(address operator, bool approved) external;
    function supportsInterface(bytes4 id) external view returns (bool);
    function uri(uint256 id) external view returns (string memory);
    function authority() external view returns (address);
}

/// @title The cast and the stage: Ada publishes, Ben derives, Cleo buys, Dora audits, Mallory cheats.
abstract contract Cast {
    struct Person {
        address account;
        uint256 key;
    }

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint64 internal constant GUARDIAN = 1;
    uint64 internal constant REFUNDER = 2;
    uint64 internal constant RESOLVER = 3;
    uint64 internal constant STEWARD = 4;
    uint64 internal constant TREASURER = 5;

    uint16 internal constant FEE = 250;
    uint32 internal constant HOLD = 7 days;
    uint32 internal constant WINDOW = 3 days;
    uint32 internal constant OPEN_WINDOW = 14 days;
    uint32 internal constant IDLE = 30 days;
    uint32 internal constant NOTICE = 35 days;
    uint64 internal constant BOND = 1_000_000_000;
    uint64 internal constant PRICE = 25_000_000;

    Person internal ada = _person("ada");
    Person internal ben = _person("ben");
    Person internal cleo = _person("cleo");
    Person internal treasury = _person("treasury");
    Person internal mallory = _person("mallory");
    Person internal proposer = _person("proposer");
    Person internal guardian = _person("guardian");
    Person internal resolver = _person("resolver");
    Person internal refunder = _person("refunder");

    AccessManager internal authority;
    TestUSD internal usd;
    DatasetRegistry internal registry;
    IWholeMarket internal market;

    uint256 private _orders;
    uint256 private _manifests;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        vm.roll(1_000_000);
        authority = AccessManager(_create("AccessManager.sol:AccessManager", abi.encode(address(this))));
        usd = TestUSD(_create("TestUSD.sol:TestUSD", ""));
        registry = _deployRegistry();
        market = _deployMarket(_config());
        _grantRoles();
        registry.addLicenseSource(address(market));
        _allow(address(usd));
        market.setProposer(address(usd), proposer.account);
        Person[5] memory rich = [cleo, treasury, mallory, ben, proposer];
        for (uint256 i = 0; i < rich.length; ++i) {
            usd.mint(rich[i].account, 1e12);
            vm.prank(rich[i].account);
            usd.approve(address(market), type(uint256).max);
        }
    }

    function _config() internal view returns (IMarket.Config memory) {
        return IMarket.Config({
            registry: address(registry),
            authority: address(authority),
            feeBps: FEE,
            bucketSeconds: 1 days,
            epochSeconds: 30 days,
            windowSeconds: WINDOW,
            finalitySeconds: 900,
            noticeSeconds: NOTICE,
            idleSeconds: IDLE,
            openWindowSeconds: OPEN_WINDOW,
            payeeDelaySeconds: 3 days,
            bond: BOND
        });
    }

    function _deployRegistry() internal returns (DatasetRegistry) {
        bytes memory arguments = abi.encode(address(authority), "https://cadastre.example/d/");
        return DatasetRegistry(_create("DatasetRegistry.sol:DatasetRegistry", arguments));
    }

    function _deployMarket(IMarket.Config memory config) internal returns (IWholeMarket) {
        return _deployMarket(config, _deployExtension(config));
    }

    function _deployMarket(IMarket.Config memory config, address extension) internal returns (IWholeMarket) {
        bytes memory arguments = abi.encode(config, extension, "https://cadastre.example/l/{id}.json");
        return IWholeMarket(_create("Market.sol:Market", arguments));
    }

    function _deployExtension(IMarket.Config memory config) internal returns (address) {
        return _create("MarketExtension.sol:MarketExtension", abi.encode(config));
    }

    /// @dev Deploys from the artifact: with `new`, the compiler would optimize the whole market again for every test.
    function _create(string memory what, bytes memory arguments) internal returns (address deployed) {
        bytes memory code = bytes.concat(vm.getCode(what), arguments);
        assembly {
            deployed := create(0, add(code, 0x20), mload(code))
            if iszero(deployed) {
                returndatacopy(code, 0, returndatasize())
                revert(code, returndatasize())
            }
        }
    }

    function _grantRoles() private {
        _give(GUARDIAN, address(market), IPayouts.veto.selector, guardian.account);
        _give(REFUNDER, address(market), ILicenses.refund.selector, refunder.account);
        _give(RESOLVER, address(market), IDisputes.freeze.selector, resolver.account);
        _give(RESOLVER, address(market), IDisputes.unfreeze.selector, resolver.account);
        _give(RESOLVER, address(market), IDisputes.setBeneficiary.selector, resolver.account);
        _give(STEWARD, address(market), ITokens.allowToken.selector, address(this));
        _give(STEWARD, address(market), ITokens.stopToken.selector, address(this));
        _give(STEWARD, address(market), ILicenses.setURI.selector, address(this));
        _give(STEWARD, address(registry), IDatasetRegistry.setBaseURI.selector, address(this));
        _give(TREASURER, address(market), ILicenses.setFee.selector, address(this));
        _give(TREASURER, address(market), IPayouts.setProposer.selector, address(this));
        _give(TREASURER, address(market), IPayouts.withdrawForfeits.selector, address(this));
        _give(TREASURER, address(market), IPayees.setFeePayee.selector, address(this));
        _give(TREASURER, address(registry), IDatasetRegistry.addLicenseSource.selector, address(this));
    }

    function _give(uint64 role, address target, bytes4 selector, address account) internal {
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = selector;
        authority.setTargetFunctionRole(target, selectors, role);
        authority.grantRole(role, account, 0);
    }

    function _allow(address token) internal {
        TestUSD(token).mint(address(this), 10_000);
        TestUSD(token).approve(address(market), 10_000);
        market.allowToken(token);
    }

    // ------------------------------------------------------------------ people and signatures

    function _person(string memory name) internal returns (Person memory) {
        uint256 key = uint256(keccak256(bytes(name)));
        return Person(vm.addr(key), key);
    }

    function _domain(string memory name, address verifier) internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256(bytes(name)),
                keccak256("1"),
                block.chainid,
                verifier
            )
        );
    }

    function _sign(Person memory person, bytes32 domain, bytes32 message) internal returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = _signSplit(person, domain, message);
        return abi.encodePacked(r, s, v);
    }

    function _signSplit(Person memory person, bytes32 domain, bytes32 message)
        internal
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        return vm.sign(person.key, keccak256(abi.encodePacked("\x19\x01", domain, message)));
    }

    function _signMarket(Person memory person, bytes32 message) internal returns (bytes memory) {
        return _sign(person, _domain("Cadastre Market", address(market)), message);
    }

    function _signRegistry(Person memory person, bytes32 message) internal returns (bytes memory) {
        return _sign(person, _domain("Cadastre Registry", address(registry)), message);
    }

    // ------------------------------------------------------------------ datasets

    function _registration(Person memory owner, uint16 deriveBps)
        internal
        returns (IDatasetRegistry.Registration memory registration)
    {
        bytes32 manifest = keccak256(abi.encode("manifest", ++_manifests));
        registration = IDatasetRegistry.Registration({
            owner: owner.account,
            manifest: manifest,
            package: keccak256(abi.encode("package", manifest)),
            packageKind: 1,
            openDerive: false,
            deriveBps: deriveBps,
            splits: 0,
            parents: new uint256[](0),
            parentLicenses: new uint256[](0),
            maxStackBps: 10_000,
            deadline: block.timestamp + 1 hours
        });
    }

    function _register(Person memory owner, uint16 deriveBps) internal returns (uint256) {
        return _submit(owner, _registration(owner, deriveBps));
    }

    /// @dev A child of datasets that are open or the owner's own.
    function _registerChild(Person memory owner, uint16 deriveBps, uint256[] memory parents)
        internal
        returns (uint256)
    {
        IDatasetRegistry.Registration memory registration = _registration(owner, deriveBps);
        registration.parents = parents;
        registration.parentLicenses = new uint256[](parents.length);
        return _submit(owner, registration);
    }

    function _submit(Person memory owner, IDatasetRegistry.Registration memory registration)
        internal
        returns (uint256)
    {
        vm.prank(owner.account);
        return registry.register(registration, new bytes[](0));
    }

    function _hashRegistration(IDatasetRegistry.Registration memory r) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "Registration(address owner,bytes32 manifest,bytes32 package,uint8 packageKind,bool openDerive,uint16 deriveBps,bytes32 splits,uint256[] parents,uint256[] parentLicenses,uint16 maxStackBps,uint256 deadline)"
                ),
                r.owner,
                r.manifest,
                r.package,
                r.packageKind,
                r.openDerive,
                r.deriveBps,
                r.splits,
                keccak256(abi.encodePacked(r.parents)),
                keccak256(abi.encodePacked(r.parentLicenses)),
                r.maxStackBps,
                r.deadline
            )
        );
    }

    function _ids(uint256 a) internal pure returns (uint256[] memory ids) {
        ids = new uint256[](1);
        ids[0] = a;
    }

    function _ids(uint256 a, uint256 b) internal pure returns (uint256[] memory ids) {
        ids = new uint256[](2);
        (ids[0], ids[1]) = (a, b);
    }

    // ------------------------------------------------------------------ purchases

    function _offer(uint256 dataset) internal view returns (ILicenses.Offer memory) {
        return ILicenses.Offer({
            dataset: uint64(dataset),
            version: 0,
            terms: keccak256("terms"),
            document: keccak256("offer"),
            uses: 127,
            price: PRICE,
            token: address(usd),
            feeBps: FEE,
            holdSeconds: HOLD,
            termSeconds: 365 days,
            expiry: uint40(block.timestamp + 30 days),
            maxLicenses: 0,
            licensee: address(0),
            grounds: 3,
            cureDays: 14,
            unitPrice: 1000,
            nonce: 1
        });
    }

    function _order(Person memory payer, Person memory licensee) internal returns (ILicenses.Order memory) {
        return
            ILicenses.Order(
                payer.account, licensee.account, keccak256(abi.encode(++_orders)), block.timestamp + 1 hours
            );
    }

    function _signOffer(Person memory owner, ILicenses.Offer memory offer) internal returns (bytes memory) {
        return _signMarket(owner, market.hashOffer(offer));
    }

    function _signOrder(Person memory payer, ILicenses.Offer memory offer, ILicenses.Order memory order)
        internal
        returns (bytes memory)
    {
        return _signMarket(
            payer,
            keccak256(
                abi.encode(
                    keccak256("Order(bytes32 offer,address payer,address licensee,bytes32 order,uint256 validBefore)"),
                    market.hashOffer(offer),
                    order.payer,
                    order.licensee,
                    order.order,
                    order.validBefore
                )
            )
        );
    }

    function _signAuthorization(Person memory payer, ILicenses.Offer memory offer, ILicenses.Order memory order)
        internal
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        bytes32 nonce = market.orderNonce(market.hashOffer(offer), order.licensee, order.order);
        return _signReceive(payer, offer.price, order.validBefore, nonce);
    }

    function _signReceive(Person memory payer, uint256 amount, uint256 validBefore, bytes32 nonce)
        internal
        returns (uint8 v, bytes32 r, bytes32 s)
    {
        return _signSplit(
            payer,
            _domain("Test USD", address(usd)),
            keccak256(
                abi.encode(
                    keccak256(
                        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
                    ),
                    payer.account,
                    address(market),
                    amount,
                    0,
                    validBefore,
                    nonce
                )
            )
        );
    }

    /// @dev Buys by authorization, submitted by somebody who pays nothing.
    function _buy(Person memory owner, ILicenses.Offer memory offer, ILicenses.Order memory order, Person memory payer)
        internal
        returns (uint64)
    {
        bytes memory signature = _signOffer(owner, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(payer, offer, order);
        return market.buyWithAuthorization(offer, signature, order, v, r, s);
    }

    function _buyFor(uint256 dataset, Person memory owner, Person memory payer, Person memory licensee)
        internal
        returns (uint64 license, ILicenses.Order memory order)
    {
        order = _order(payer, licensee);
        license = _buy(owner, _offer(dataset), order, payer);
    }

    // ------------------------------------------------------------------ payouts

    struct Leaf {
        uint32 payee;
        uint64 amount;
    }

    function _tree(Leaf[] memory leaves) internal view returns (bytes32[] memory tree) {
        uint256 n = leaves.length;
        tree = new bytes32[](2 * n - 1);
        for (uint256 k = 0; k < n; ++k) {
            tree[2 * n - 2 - k] =
                keccak256(bytes.concat(keccak256(abi.encode(address(usd), leaves[k].payee, leaves[k].amount))));
        }
        for (uint256 i = n - 1; i > 0; --i) {
            (bytes32 a, bytes32 b) = (tree[2 * i - 1], tree[2 * i]);
            tree[i - 1] = a < b ? keccak256(bytes.concat(a, b)) : keccak256(bytes.concat(b, a));
        }
    }

    function _prove(bytes32[] memory tree, uint256 k) internal pure returns (bytes32[] memory proof) {
        uint256 depth = 0;
        for (uint256 i = tree.length - 1 - k; i != 0; i = (i - 1) / 2) {
            ++depth;
        }
        proof = new bytes32[](depth);
        uint256 node = tree.length - 1 - k;
        for (uint256 d = 0; d < depth; ++d) {
            proof[d] = tree[node % 2 == 1 ? node + 1 : node - 1];
            node = (node - 1) / 2;
        }
    }

    function _proveRange(bytes32[] memory tree, uint256 first, uint256 count)
        internal
        pure
        returns (bytes32[] memory proof)
    {
        uint256[] memory queue = new uint256[](count + 2 * tree.length);
        bytes32[] memory found = new bytes32[](tree.length);
        uint256 used = 0;
        for (uint256 k = 0; k < count; ++k) {
            queue[k] = tree.length - 1 - first - k;
        }
        uint256 tail = count;
        for (uint256 head = 0; queue[head] != 0;) {
            uint256 i = queue[head++];
            if (i % 2 == 0 && head < tail && queue[head] == i - 1) ++head;
            else found[used++] = tree[i % 2 == 1 ? i + 1 : i - 1];
            queue[tail++] = (i - 1) / 2;
        }
        proof = new bytes32[](used);
        for (uint256 k = 0; k < used; ++k) {
            proof[k] = found[k];
        }
    }

    function _pack(Leaf[] memory leaves, uint256 first, uint256 count) internal pure returns (bytes memory packed) {
        for (uint256 k = first; k < first + count; ++k) {
            packed = bytes.concat(packed, abi.encodePacked(leaves[k].payee, leaves[k].amount));
        }
    }

    function _total(Leaf[] memory leaves) internal pure returns (uint64 total) {
        for (uint256 k = 0; k < leaves.length; ++k) {
            total += leaves[k].amount;
        }
    }

    function _propose(uint32 epoch, bytes32 root, uint64 total) internal {
        vm.prank(proposer.account);
        market.propose(
            address(usd),
            epoch,
            uint64(block.number - 1),
            blockhash(block.number - 1),
            root,
            total,
            keccak256("settlement")
        );
    }

    function _settle(uint32 epoch, Leaf[] memory leaves) internal returns (bytes32[] memory tree) {
        tree = _tree(leaves);
        _propose(epoch, tree[0], _total(leaves));
        _pass(WINDOW);
        market.accept(address(usd), epoch);
    }

    // ------------------------------------------------------------------ time and checks

    function _pass(uint256 secondsLater) internal {
        vm.warp(vm.getBlockTimestamp() + secondsLater);
        vm.roll(block.number + 1 + secondsLater / 12);
    }

    /// @dev vm.expectRevert with an error and its arguments.
    function _refused(bytes memory reason) internal {
        vm.expectRevert(reason);
    }

    function _eq(uint256 actual, uint256 expected, string memory what) internal pure {
        if (actual != expected) revert Unequal(what, actual, expected);
    }

    function _eq(address actual, address expected, string memory what) internal pure {
        _eq(uint160(actual), uint160(expected), what);
    }

    function _eq(bytes32 actual, bytes32 expected, string memory what) internal pure {
        _eq(uint256(actual), uint256(expected), what);
    }

    function _true(bool fact, string memory what) internal pure {
        if (!fact) revert Untrue(what);
    }

    function _bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        return low + value % (high - low + 1);
    }

    error Unequal(string what, uint256 actual, uint256 expected);
    error Untrue(string what);
}
