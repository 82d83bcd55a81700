// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IAccessManager} from "@openzeppelin/contracts/access/manager/IAccessManager.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {EvidenceAnchor} from "../src/EvidenceAnchor.sol";
import {TestUSD} from "../src/TestUSD.sol";
import {IDisputes} from "../src/interfaces/IDisputes.sol";
import {IEvidenceAnchor} from "../src/interfaces/IEvidenceAnchor.sol";
import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IMarket} from "../src/interfaces/IMarket.sol";
import {IPayees} from "../src/interfaces/IPayees.sol";
import {ITokens} from "../src/interfaces/ITokens.sol";
import {IUsage} from "../src/interfaces/IUsage.sol";
import {Cast} from "./Cast.sol";

contract FeeToken is TestUSD {
    uint256 public immutable FEE_BPS;
    bool public charging = true;

    constructor(uint256 feeBps) {
        FEE_BPS = feeBps;
    }

    function setCharging(bool value) external {
        charging = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        uint256 fee = charging && from != address(0) && to != address(0) ? amount * FEE_BPS / 10_000 : 0;
        super._update(from, to, amount - fee);
        if (fee != 0) super._update(from, address(1), fee);
    }
}

contract RebasingToken is TestUSD {
    function sharesOf(address account) external view returns (uint256) {
        return balanceOf(account);
    }
}

contract EighteenDecimals is ERC20 {
    constructor() ERC20("Eighteen", "E18") {}
}

contract PayeesTest is Cast {
    function test_payees_are_numbered_densely_and_once() public {
        uint256 dataset = _register(ada, 0);
        _eq(market.enrollOwner(dataset), 1, "ada");
        _eq(market.enrollOwner(dataset), 1, "again");
        _eq(market.invitePayee(ben.account), 2, "ben");
        _eq(market.payeeOf(ben.account), 2, "lookup");
        _eq(market.payeeCount(), 2, "count");
        _true(market.payee(1).accepted, "an owner has consented by registering");
        _true(!market.payee(2).accepted, "an invited contributor has not");
        _refused(abi.encodeWithSelector(IPayees.PayeesUnknown.selector, 3));
        market.payee(3);
        _refused(abi.encodeWithSelector(IPayees.PayeesZeroAccount.selector));
        market.invitePayee(address(0));
    }

    function test_an_invitation_is_accepted_by_the_account_or_its_signature_alone() public {
        market.invitePayee(ben.account);
        bytes32 message = keccak256(
            abi.encode(keccak256("PayeeAcceptance(address account,uint256 deadline)"), ben.account, block.timestamp)
        );
        bytes memory signature = _signMarket(mallory, message);
        _refused(abi.encodeWithSelector(IPayees.PayeesBadSignature.selector, ben.account));
        market.acceptPayee(ben.account, block.timestamp, signature);
        signature = _signMarket(ben, message);
        _eq(market.acceptPayee(ben.account, block.timestamp, signature), 1, "number");
        _true(market.payee(1).accepted, "accepted");
        vm.warp(block.timestamp + 1);
        _refused(abi.encodeWithSelector(IPayees.PayeesExpired.selector, block.timestamp - 1, block.timestamp));
        market.acceptPayee(ben.account, block.timestamp - 1, signature);
    }

    function test_an_address_changes_after_a_public_delay() public {
        uint32 id = market.enrollOwner(_register(ada, 0));
        _refused(abi.encodeWithSelector(IPayees.PayeesBadSignature.selector, ada.account));
        vm.prank(mallory.account);
        market.announcePayeeChange(id, mallory.account, block.timestamp, "");
        vm.prank(ada.account);
        market.announcePayeeChange(id, ben.account, 0, "");
        uint256 due = block.timestamp + 3 days;
        vm.warp(due - 1);
        _refused(abi.encodeWithSelector(IPayees.PayeesChangeNotDue.selector, uint256(id), due, due - 1));
        market.applyPayeeChange(id);
        vm.warp(due);
        market.applyPayeeChange(id);
        _eq(market.payee(id).account, ben.account, "account");
        _eq(market.payeeOf(ben.account), id, "ben");
        _eq(market.payeeOf(ada.account), 0, "ada");
        _refused(abi.encodeWithSelector(IPayees.PayeesNoChange.selector, uint256(id)));
        market.applyPayeeChange(id);
    }

    function test_a_cancelled_change_cannot_be_announced_again_by_its_old_signature() public {
        uint32 id = market.enrollOwner(_register(ada, 0));
        bytes memory signature = _signMarket(
            ada,
            keccak256(
                abi.encode(
                    keccak256("PayeeChange(uint32 payee,address to,uint32 nonce,uint256 deadline)"),
                    id,
                    ben.account,
                    0,
                    block.timestamp
                )
            )
        );
        market.announcePayeeChange(id, ben.account, block.timestamp, signature);
        _refused(abi.encodeWithSelector(IPayees.PayeesNotAccount.selector, uint256(id), ada.account, mallory.account));
        vm.prank(mallory.account);
        market.cancelPayeeChange(id);
        vm.prank(ada.account);
        market.cancelPayeeChange(id);
        _refused(abi.encodeWithSelector(IPayees.PayeesBadSignature.selector, ada.account));
        market.announcePayeeChange(id, ben.account, block.timestamp, signature);
        _refused(abi.encodeWithSelector(IPayees.PayeesNoChange.selector, uint256(id)));
        vm.prank(ada.account);
        market.cancelPayeeChange(id);
    }

    function test_an_invitation_of_the_new_address_does_not_block_a_change() public {
        uint32 id = market.enrollOwner(_register(ada, 0));
        vm.prank(mallory.account);
        uint32 invited = market.invitePayee(ben.account);
        vm.prank(ada.account);
        market.announcePayeeChange(id, ben.account, 0, "");
        _pass(3 days);
        market.applyPayeeChange(id);
        _eq(market.payee(id).account, ben.account, "account");
        _eq(market.payeeOf(ben.account), invited, "the first number stays");
        _eq(market.payeeOf(ada.account), 0, "ada");
    }

    function test_the_fee_payee_is_a_payee() public {
        _refused(abi.encodeWithSelector(IPayees.PayeesUnknown.selector, 1));
        market.setFeePayee(1);
        market.invitePayee(ben.account);
        market.setFeePayee(1);
        _eq(market.feePayee(), 1, "fee payee");
    }
}

contract DisputesTest is Cast {
    bytes32 private constant DISPUTE = keccak256("dispute 1");

    function test_a_frozen_dataset_sells_nothing_until_it_is_unfrozen() public {
        uint256 dataset = _register(ada, 0);
        vm.expectEmit(address(market));
        emit IDisputes.DatasetFrozen(dataset, DISPUTE);
        vm.prank(resolver.account);
        market.freeze(dataset, DISPUTE);
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        _refused(abi.encodeWithSelector(ILicenses.LicensesDatasetFrozen.selector, dataset));
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
        vm.prank(resolver.account);
        market.unfreeze(dataset, DISPUTE);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
    }

    function test_the_resolver_names_a_beneficiary_and_the_dispute() public {
        uint256 dataset = _register(ada, 0);
        uint32 payee = market.invitePayee(ben.account);
        vm.prank(resolver.account);
        market.setBeneficiary(dataset, payee, DISPUTE);
        _eq(market.beneficiaryOf(dataset), payee, "beneficiary");
        _refused(abi.encodeWithSelector(IPayees.PayeesUnknown.selector, 9));
        vm.prank(resolver.account);
        market.setBeneficiary(dataset, 9, DISPUTE);
        _refused(abi.encodeWithSelector(IDisputes.DisputesUnnamed.selector));
        vm.prank(resolver.account);
        market.setBeneficiary(dataset, payee, 0);
        vm.prank(resolver.account);
        market.setBeneficiary(dataset, 0, DISPUTE);
        _eq(market.beneficiaryOf(dataset), 0, "restored");
    }

    function test_measures_are_the_resolvers_and_happen_once() public {
        uint256 dataset = _register(ada, 0);
        vm.expectPartialRevert(bytes4(keccak256("AccessManagedUnauthorized(address)")));
        vm.prank(mallory.account);
        market.freeze(dataset, DISPUTE);
        _refused(abi.encodeWithSelector(IDisputes.DisputesNotFrozen.selector, dataset));
        vm.prank(resolver.account);
        market.unfreeze(dataset, DISPUTE);
        vm.prank(resolver.account);
        market.freeze(dataset, DISPUTE);
        _true(market.isFrozen(dataset), "frozen");
        _refused(abi.encodeWithSelector(IDisputes.DisputesAlreadyFrozen.selector, dataset));
        vm.prank(resolver.account);
        market.freeze(dataset, DISPUTE);
        vm.expectPartialRevert(bytes4(keccak256("ERC721NonexistentToken(uint256)")));
        vm.prank(resolver.account);
        market.freeze(99, DISPUTE);
    }
}

contract TokensTest is Cast {
    function test_tokens_with_more_than_six_decimals_fees_or_rebasing_are_refused_by_name() public {
        address eighteen = address(new EighteenDecimals());
        _refused(abi.encodeWithSelector(ITokens.TokenDecimals.selector, eighteen, 18, 6));
        market.allowToken(eighteen);
        _expectRefused(new RebasingToken(), ITokens.TokenRebases.selector, "");
        _expectRefused(new FeeToken(1), ITokens.TokenTakesFee.selector, abi.encode(10_000, 9999));
    }

    function test_a_token_that_begins_to_take_a_fee_sells_nothing_and_takes_no_deposit() public {
        FeeToken token = new FeeToken(100);
        token.setCharging(false);
        _allow(address(token));
        token.setCharging(true);
        uint256 dataset = _register(ada, 0);
        ILicenses.Offer memory offer = _offer(dataset);
        offer.token = address(token);
        token.mint(treasury.account, 1e12);
        vm.prank(treasury.account);
        token.approve(address(market), 1e12);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        _refused(
            abi.encodeWithSelector(
                ITokens.TokenTakesFee.selector, address(token), uint256(PRICE), uint256(PRICE) * 99 / 100
            )
        );
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
        _refused(abi.encodeWithSelector(ITokens.TokenTakesFee.selector, address(token), 100, 99));
        vm.prank(treasury.account);
        market.deposit(address(token), treasury.account, 100);
        _eq(market.licenseCount(), 0, "licenses");
    }

    function test_unlisted_and_stopped_tokens_buy_nothing() public {
        TestUSD other = TestUSD(_create("TestUSD.sol:TestUSD", ""));
        _refused(abi.encodeWithSelector(ITokens.TokenNotAllowed.selector, address(other)));
        market.deposit(address(other), ada.account, 1);
        market.stopToken(address(usd));
        uint256 dataset = _register(ada, 0);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, _offer(dataset));
        _refused(abi.encodeWithSelector(ITokens.TokenNotAllowed.selector, address(usd)));
        vm.prank(treasury.account);
        market.buy(_offer(dataset), signature, order, "");
        _refused(abi.encodeWithSelector(ITokens.TokenNotAllowed.selector, address(usd)));
        market.stopToken(address(usd));
        _eq(market.allowToken(address(usd)), 1, "the same index");
        (uint8 index, bool allowed) = market.tokenState(address(usd));
        _true(allowed && index == 1, "resumed");
        _eq(market.tokenCount(), 1, "count");
    }

    function test_only_stewards_list_tokens() public {
        vm.expectPartialRevert(bytes4(keccak256("AccessManagedUnauthorized(address)")));
        vm.prank(mallory.account);
        market.allowToken(address(usd));
    }

    function test_test_money_is_not_deployed_on_public_chains() public {
        uint256[4] memory chains = [uint256(1), 137, 8453, 42_161];
        for (uint256 i = 0; i < chains.length; ++i) {
            vm.chainId(chains[i]);
            _refused(abi.encodeWithSelector(TestUSD.TestUSDPublicChain.selector, chains[i]));
            _create("TestUSD.sol:TestUSD", "");
        }
        vm.chainId(0xCADA57);
        _eq(TestUSD(_create("TestUSD.sol:TestUSD", "")).decimals(), 6, "decimals");
    }

    function test_nobody_mints_enough_to_fill_the_books_of_everybody() public {
        _refused(abi.encodeWithSelector(TestUSD.TestUSDMintTooMuch.selector, 1e12 + 1, 1e12));
        usd.mint(mallory.account, 1e12 + 1);
        usd.mint(mallory.account, 1e12);
    }

    function _expectRefused(TestUSD token, bytes4 selector, bytes memory arguments) private {
        token.mint(address(this), 10_000);
        token.approve(address(market), 10_000);
        _refused(bytes.concat(abi.encodeWithSelector(selector, address(token)), arguments));
        market.allowToken(address(token));
    }
}

contract DeploymentTest is Cast {
    function test_the_extension_answers_at_the_markets_address_with_the_markets_books() public {
        IMarket.Config memory c = market.config();
        _eq(keccak256(abi.encode(c)), keccak256(abi.encode(_config())), "config");
        _eq(market.configDigest(), keccak256(abi.encode(_config())), "digest");
        _eq(market.authority(), address(authority), "authority");
        _eq(market.proposerOf(address(usd)), proposer.account, "storage");
    }

    function test_a_role_with_a_delay_acts_once_and_not_before_its_time() public {
        authority.grantRole(TREASURER, ben.account, 7 days);
        bytes memory call = abi.encodeCall(market.setFee, (300));
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        vm.prank(ben.account);
        market.setFee(300);
        vm.prank(ben.account);
        authority.schedule(address(market), call, 0);
        vm.warp(block.timestamp + 7 days - 1);
        vm.expectPartialRevert(IAccessManager.AccessManagerNotReady.selector);
        vm.prank(ben.account);
        market.setFee(300);
        vm.warp(vm.getBlockTimestamp() + 1);
        vm.prank(ben.account);
        market.setFee(300);
        _eq(market.fee(), 300, "fee");
        vm.expectPartialRevert(IAccessManager.AccessManagerNotScheduled.selector);
        vm.prank(ben.account);
        market.setFee(300);
    }

    function test_a_market_refuses_an_extension_of_another_configuration() public {
        IMarket.Config memory c = _config();
        address extension = _deployExtension(c);
        c.bond += 1;
        _refused(abi.encodeWithSelector(IMarket.MarketBadConfig.selector));
        _deployMarket(c, extension);
    }

    function test_configurations_that_cannot_work_are_refused() public {
        IMarket.Config memory c = _config();
        c.noticeSeconds = 30 days + WINDOW + 900;
        _refused(
            abi.encodeWithSelector(
                IUsage.UsageNoticeTooShort.selector, uint256(c.noticeSeconds), uint256(c.noticeSeconds)
            )
        );
        _deployExtension(c);
        bytes memory reason = abi.encodeWithSelector(IMarket.MarketBadConfig.selector);
        c = _config();
        c.openWindowSeconds = c.windowSeconds;
        _refused(reason);
        _deployExtension(c);
        c = _config();
        c.bucketSeconds = 0;
        _refused(reason);
        _deployExtension(c);
        c = _config();
        c.feeBps = 501;
        _refused(reason);
        _deployExtension(c);
        c = _config();
        c.registry = address(1);
        _refused(reason);
        _deployExtension(c);
    }

    function test_an_unknown_function_is_refused() public {
        (bool ok,) = address(market).call(abi.encodeWithSignature("pause()"));
        _true(!ok, "there is no pause");
        (ok,) = address(market).call("");
        _true(!ok, "nor a plain call");
    }
}

contract AnchorTest is Cast {
    function test_sizes_grow_for_each_origin_and_sender() public {
        EvidenceAnchor anchor = new EvidenceAnchor();
        bytes32 origin = keccak256("cadastre.example/log");
        _eq(anchor.anchor(origin, 10, keccak256("a"), 0), 1, "first");
        _refused(abi.encodeWithSelector(IEvidenceAnchor.AnchorNotGrowing.selector, origin, 10, 10));
        anchor.anchor(origin, 10, keccak256("b"), 0);
        _eq(anchor.anchor(origin, 11, keccak256("b"), 0), 2, "second");
        vm.prank(mallory.account);
        _eq(anchor.anchor(origin, 1, keccak256("c"), 0), 1, "Mallory's own");
        (uint64 index, uint64 size) = anchor.latest(origin, address(this));
        _eq(index, 2, "index");
        _eq(size, 11, "size");
    }
}
