// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {TestUSD} from "../src/TestUSD.sol";
import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {ITokens} from "../src/interfaces/ITokens.sol";
import {Cast, IWholeMarket} from "./Cast.sol";

/// @dev A token that tells contracts of what they receive, and that says "no" to some accounts without reverting.
contract MoodyUSD is TestUSD {
    mapping(address account => bool) public refuses;

    function refuse(address account, bool value) external {
        refuses[account] = value;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        if (refuses[to]) return false;
        super.transfer(to, amount);
        if (to.code.length != 0) try Thief(to).received() {} catch {}
        return true;
    }

    function transferFrom(address from, address to, uint256 amount) public override returns (bool) {
        return !refuses[from] && super.transferFrom(from, to, amount);
    }
}

/// @dev A payee that tries every door through which money leaves as soon as some arrives.
contract Thief {
    IWholeMarket private immutable MARKET;
    bytes[] private _tries;
    uint256 public tried;
    uint256 public got;

    constructor(IWholeMarket market) {
        MARKET = market;
        market.acceptPayee(address(this), 0, "");
    }

    function plan(bytes calldata call) external {
        _tries.push(call);
    }

    function act(bytes calldata call) external {
        (bool ok,) = address(MARKET).call(call);
        require(ok, "the market refused");
    }

    function received() external {
        for (uint256 i = 0; i < _tries.length; ++i) {
            (bool ok,) = address(MARKET).call(_tries[i]);
            ++tried;
            if (ok) ++got;
        }
    }
}

/// @dev A wallet whose only key is `KEY`; in a bad mood it answers yes to everything, but not with the word for it.
contract Wallet is IERC1271 {
    address private immutable KEY;
    bool public honest = true;

    constructor(address key) {
        KEY = key;
    }

    function lie() external {
        honest = false;
    }

    function isValidSignature(bytes32 digest, bytes calldata signature) external view returns (bytes4) {
        if (!honest) return bytes4(uint32(1));
        (address signer, ECDSA.RecoverError problem,) = ECDSA.tryRecoverCalldata(digest, signature);
        return problem == ECDSA.RecoverError.NoError && signer == KEY ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

contract HostileTest is Cast {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    MoodyUSD private moody;
    uint256 private dataset;

    function setUp() public override {
        super.setUp();
        moody = new MoodyUSD();
        usd = moody;
        _allow(address(usd));
        market.setProposer(address(usd), proposer.account);
        usd.mint(treasury.account, 1e12);
        vm.prank(treasury.account);
        usd.approve(address(market), type(uint256).max);
        dataset = _register(ada, 0);
    }

    function test_a_payee_that_calls_back_finds_every_door_shut_through_which_money_leaves() public {
        Thief thief = new Thief(market);
        uint32 payee = market.payeeOf(address(thief));
        _earn(1000);
        vm.prank(treasury.account);
        market.deposit(address(usd), address(thief), 700);
        thief.act(abi.encodeCall(market.requestWithdrawal, (address(usd), 700)));
        ILicenses.Order memory held = _buyHeld(address(thief));
        Leaf[] memory leaves = new Leaf[](2);
        vm.prank(ada.account);
        (leaves[0], leaves[1]) = (Leaf(payee, 600), Leaf(market.acceptPayee(ada.account, 0, ""), 400));
        bytes32[] memory tree = _settle(1, leaves);
        bytes memory packed = _pack(leaves, 0, 2);
        bytes32[] memory range = _proveRange(tree, 0, 2);
        IPayouts.Claim[] memory claims = new IPayouts.Claim[](1);
        claims[0] = IPayouts.Claim(payee, 600, _prove(tree, 0));
        thief.plan(abi.encodeCall(market.claim, (address(usd), payee, 600, _prove(tree, 0))));
        thief.plan(abi.encodeCall(market.claimMany, (address(usd), claims)));
        thief.plan(abi.encodeCall(market.push, (address(usd), 2, 0, packed, range)));
        thief.plan(abi.encodeCall(market.withdraw, (address(usd))));
        thief.plan(abi.encodeCall(market.refund, (held.payer, held.order)));
        vm.warp(block.timestamp + NOTICE);
        _eq(market.push(address(usd), 2, 0, packed, range), 1000, "pushed");
        _eq(thief.tried(), 5, "tried");
        _eq(thief.got(), 0, "got");
        _eq(usd.balanceOf(address(thief)), 600, "paid once");
        _eq(market.books(address(usd)).owed, 0, "owed");
        thief.act(abi.encodeCall(market.withdraw, (address(usd))));
        _eq(usd.balanceOf(address(thief)), 1300, "its deposit, once");
        _eq(usd.balanceOf(address(market)), PRICE, "the price of what it bought");
    }

    function test_a_token_that_says_no_without_reverting_sells_nothing_and_keeps_every_share() public {
        moody.refuse(treasury.account, true);
        ILicenses.Offer memory offer = _offerIn(moody);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        bytes memory failed = abi.encodeWithSelector(
            ITokens.TokenTransferFailed.selector, address(usd), treasury.account, address(market), uint256(PRICE)
        );
        _refused(failed);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
        moody.refuse(treasury.account, false);
        vm.prank(treasury.account);
        uint64 license = market.buy(offer, signature, order, "");
        // A refund that cannot arrive ends nothing: license and money stay as they were.
        moody.refuse(treasury.account, true);
        _refused(
            abi.encodeWithSelector(
                ITokens.TokenTransferFailed.selector, address(usd), address(market), treasury.account, uint256(PRICE)
            )
        );
        vm.prank(ada.account);
        market.refund(order.payer, order.order);
        _true(market.isActive(license, 1), "still licensed");

        _pass(HOLD + 1 days);
        Leaf[] memory leaves = new Leaf[](1);
        leaves[0] = Leaf(market.enrollOwner(dataset), PRICE);
        _settle(1, leaves);
        moody.refuse(ada.account, true);
        _eq(market.push(address(usd), 1, 0, _pack(leaves, 0, 1), new bytes32[](0)), 0, "passed over");
        _eq(market.books(address(usd)).owed, PRICE, "still owed");
        moody.refuse(ada.account, false);
        _eq(market.push(address(usd), 1, 0, _pack(leaves, 0, 1), new bytes32[](0)), PRICE, "paid");
    }

    function test_a_contract_wallet_sells_by_its_own_word_only() public {
        Wallet wallet = new Wallet(ben.account);
        vm.prank(ada.account);
        registry.transferFrom(ada.account, address(wallet), dataset);
        ILicenses.Offer memory offer = _offerIn(moody);
        bytes memory stranger = _signOffer(mallory, offer);
        bytes memory signature = _signOffer(ben, offer);
        bytes memory bad = abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, address(wallet));
        ILicenses.Order memory order = _order(treasury, cleo);
        _refused(bad);
        vm.prank(treasury.account);
        market.buy(offer, stranger, order, "");
        vm.prank(treasury.account);
        _true(market.isActive(market.buy(offer, signature, order, ""), 1), "sold");
        wallet.lie();
        order = _order(treasury, cleo);
        _refused(bad);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
    }

    function test_each_signature_has_one_form() public {
        ILicenses.Offer memory offer = _offerIn(moody);
        ILicenses.Order memory order = _order(treasury, cleo);
        (uint8 v, bytes32 r, bytes32 s) =
            _signSplit(ada, _domain("Cadastre Market", address(market)), market.hashOffer(offer));
        bytes memory bad = abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account);
        bytes[3] memory forms = [
            abi.encodePacked(r, bytes32(CURVE_ORDER - uint256(s)), v == 27 ? uint8(28) : uint8(27)),
            abi.encodePacked(r, bytes32(uint256(s) | (uint256(v - 27) << 255))),
            abi.encodePacked(r, s, v, uint8(0))
        ];
        for (uint256 i = 0; i < forms.length; ++i) {
            _refused(bad);
            vm.prank(treasury.account);
            market.buy(offer, forms[i], order, "");
        }
        vm.prank(treasury.account);
        market.buy(offer, abi.encodePacked(r, s, v), order, "");
    }

    function _offerIn(TestUSD token) private view returns (ILicenses.Offer memory offer) {
        offer = _offer(dataset);
        offer.token = address(token);
    }

    function _earn(uint64 amount) private {
        ILicenses.Offer memory offer = _offerIn(moody);
        (offer.price, offer.holdSeconds) = (amount, 0);
        bytes memory signature = _signOffer(ada, offer);
        ILicenses.Order memory order = _order(treasury, cleo);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
    }

    /// @dev A license that the thief's own dataset could refund while it is held.
    function _buyHeld(address owner) private returns (ILicenses.Order memory order) {
        vm.prank(ada.account);
        registry.transferFrom(ada.account, ben.account, dataset);
        ILicenses.Offer memory offer = _offerIn(moody);
        offer.holdSeconds = 90 days;
        bytes memory signature = _signOffer(ben, offer);
        order = _order(treasury, cleo);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
        vm.prank(ben.account);
        registry.transferFrom(ben.account, owner, dataset);
    }
}
