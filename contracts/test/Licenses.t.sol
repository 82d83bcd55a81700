// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC3009Cancel} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {ITokens} from "../src/interfaces/ITokens.sol";
import {IUsage} from "../src/interfaces/IUsage.sol";
import {Cast} from "./Cast.sol";

contract LicensesTest is Cast {
    bytes32 private constant OFFER_TYPEHASH = keccak256(
        "Offer(uint64 dataset,uint32 version,bytes32 terms,bytes32 document,uint16 uses,uint64 price,address token,uint16 feeBps,uint32 holdSeconds,uint32 termSeconds,uint40 expiry,uint32 maxLicenses,address licensee,uint16 grounds,uint16 cureDays,uint64 unitPrice,uint256 nonce)"
    );

    uint256 private dataset;

    function setUp() public override {
        super.setUp();
        dataset = _register(ada, 500);
    }

    function test_cleo_buys_by_authorization_and_pays_no_gas() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        uint256 before = usd.balanceOf(cleo.account);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        vm.prank(mallory.account); // any relayer: it can only do what Cleo signed
        uint64 id = market.buyWithAuthorization(offer, signature, order, v, r, s);
        _eq(id, 1, "id");
        _eq(before - usd.balanceOf(cleo.account), PRICE, "paid");
        _eq(usd.balanceOf(address(market)), PRICE, "received");
        _expectRecord(id, offer, order);
        _eq(market.balanceOf(cleo.account, id), 1, "ERC-1155");
        _true(market.isActive(id, 1 | 64), "active");
        _true(!market.isActive(id, 128), "a use that nobody granted");
    }

    function test_every_field_of_the_records_is_read_back() public {
        ILicenses.Offer memory offer = _offer(dataset);
        (offer.uses, offer.grounds, offer.cureDays) = (0x8001, 0x8002, 0xfffe);
        (offer.price, offer.termSeconds, offer.holdSeconds) = (999_999_999_999, type(uint32).max, 0);
        ILicenses.Order memory order = _order(treasury, ben);
        uint64 id = _buy(ada, offer, order, treasury);
        _expectRecord(id, offer, order);
        offer.holdSeconds = 365 days;
        order = _order(treasury, cleo);
        offer.price = 1;
        _expectRecord(_buy(ada, offer, order, treasury), offer, order);
    }

    function test_the_second_try_of_an_order_names_the_license_and_takes_no_money() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(treasury, cleo);
        uint64 id = _buy(ada, offer, order, treasury);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(treasury, offer, order);
        uint256 before = usd.balanceOf(treasury.account);
        _refused(
            abi.encodeWithSelector(ILicenses.LicensesOrderExists.selector, treasury.account, order.order, uint256(id))
        );
        market.buyWithAuthorization(offer, signature, order, v, r, s);
        _eq(usd.balanceOf(treasury.account), before, "money");
    }

    function test_terms_licensee_order_and_price_are_bound_into_the_payment() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        bytes memory reason = abi.encodeWithSelector(ERC3009.ERC3009InvalidSignature.selector);

        ILicenses.Offer memory swapped = offer;
        swapped.terms = keccak256("other terms");
        bytes memory signature = _signOffer(ada, swapped);
        _refused(reason);
        market.buyWithAuthorization(swapped, signature, order, v, r, s);
        swapped.terms = keccak256("terms");

        signature = _signOffer(ada, offer);
        order.licensee = mallory.account;
        _refused(reason);
        market.buyWithAuthorization(offer, signature, order, v, r, s);
        order.licensee = cleo.account;

        order.order = keccak256("another order");
        _refused(reason);
        market.buyWithAuthorization(offer, signature, order, v, r, s);
    }

    function test_a_cancelled_authorization_buys_nothing() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        bytes32 nonce = market.orderNonce(market.hashOffer(offer), order.licensee, order.order);
        (uint8 cv, bytes32 cr, bytes32 cs) = _signSplit(
            cleo,
            _domain("Test USD", address(usd)),
            keccak256(
                abi.encode(keccak256("CancelAuthorization(address authorizer,bytes32 nonce)"), cleo.account, nonce)
            )
        );
        IERC3009Cancel(address(usd)).cancelAuthorization(cleo.account, nonce, cv, cr, cs);
        _true(usd.authorizationState(cleo.account, nonce), "the token calls it used");
        _refused(abi.encodeWithSelector(ERC3009.ERC3009UsedAuthorization.selector, cleo.account, nonce));
        market.buyWithAuthorization(offer, signature, order, v, r, s);
        _eq(market.licenseCount(), 0, "licenses");
    }

    function test_nobody_but_the_market_presents_the_authorization() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        bytes32 nonce = market.orderNonce(market.hashOffer(offer), order.licensee, order.order);
        vm.expectRevert();
        vm.prank(mallory.account);
        usd.receiveWithAuthorization(cleo.account, address(market), offer.price, 0, order.validBefore, nonce, v, r, s);
    }

    function test_an_expired_authorization_is_refused() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        vm.warp(order.validBefore);
        _refused(abi.encodeWithSelector(ILicenses.LicensesExpired.selector, order.validBefore, order.validBefore));
        market.buyWithAuthorization(offer, signature, order, v, r, s);
    }

    function test_allowance_permit_and_deposit_need_the_payers_consent_to_this_order() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotPayer.selector, treasury.account, mallory.account));
        vm.prank(mallory.account);
        market.buy(offer, signature, order, "");
        bytes memory consent = _signOrder(treasury, offer, order);
        order.licensee = mallory.account;
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, treasury.account));
        vm.prank(mallory.account);
        market.buy(offer, signature, order, consent);
        order.licensee = cleo.account;
        vm.prank(mallory.account);
        uint64 id = market.buy(offer, signature, order, consent);
        _expectRecord(id, offer, order);

        order = _order(treasury, ben);
        vm.prank(treasury.account);
        _expectRecord(market.buy(offer, signature, order, ""), offer, order);
    }

    function test_a_deposit_pays_without_a_transfer() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        bytes memory consent = _signOrder(treasury, offer, order);
        _refused(
            abi.encodeWithSelector(
                IUsage.UsageDepositTooLow.selector, address(usd), treasury.account, 0, uint256(PRICE)
            )
        );
        market.buyFromDeposit(offer, signature, order, consent);
        vm.prank(treasury.account);
        market.deposit(address(usd), treasury.account, PRICE + 5);
        uint256 held = usd.balanceOf(address(market));
        uint64 id = market.buyFromDeposit(offer, signature, order, consent);
        _expectRecord(id, offer, order);
        _eq(usd.balanceOf(address(market)), held, "balance");
        _eq(market.depositOf(address(usd), treasury.account).balance, 5, "deposit");
    }

    function test_a_permit_buys_even_if_somebody_submitted_it_first() public {
        vm.prank(cleo.account);
        usd.approve(address(market), 0);
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(cleo, cleo);
        bytes memory signature = _signOffer(ada, offer);
        bytes memory consent = _signOrder(cleo, offer, order);
        (uint8 v, bytes32 r, bytes32 s) = _signSplit(
            cleo,
            _domain("Test USD", address(usd)),
            keccak256(
                abi.encode(
                    keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                    cleo.account,
                    address(market),
                    offer.price,
                    0,
                    order.validBefore
                )
            )
        );
        vm.prank(mallory.account);
        usd.permit(cleo.account, address(market), offer.price, order.validBefore, v, r, s);
        uint64 id = market.buyWithPermit(offer, signature, order, consent, v, r, s);
        _expectRecord(id, offer, order);
        _eq(usd.allowance(cleo.account, address(market)), 0, "allowance");
    }

    function test_a_price_of_zero_moves_no_token_but_needs_the_payer() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.price = 0;
        ILicenses.Order memory order = _order(cleo, cleo);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(cleo, offer, order);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNothingToPay.selector));
        market.buyWithAuthorization(offer, signature, order, v, r, s);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotPayer.selector, cleo.account, mallory.account));
        vm.prank(mallory.account);
        market.buy(offer, signature, order, "");
        bytes memory consent = _signOrder(cleo, offer, order);
        uint64 id = market.buy(offer, signature, order, consent);
        _eq(usd.balanceOf(address(market)), 0, "balance");
        _expectRecord(id, offer, order);
    }

    function test_an_offer_that_its_owner_did_not_sign_sells_nothing() public {
        ILicenses.Offer memory offer = _offer(dataset);
        _expectRefusal(mallory, offer, abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account));
        // Mallory's own offer is for her own dataset only.
        uint256 hers = _register(mallory, 0);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(mallory, _offer(hers));
        bytes memory consent = _signOrder(treasury, offer, order);
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account));
        market.buy(offer, signature, order, consent);
    }

    function test_an_offer_ends_with_the_ownership_of_its_signer() public {
        ILicenses.Offer memory offer = _offer(dataset);
        vm.prank(ada.account);
        registry.transferFrom(ada.account, ben.account, dataset);
        _expectRefusal(ada, offer, abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ben.account));
    }

    function test_signatures_do_not_carry_over_to_another_market_or_chain() public {
        ILicenses.Offer memory offer = _offer(dataset);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        bytes memory consent = _signOrder(treasury, offer, order);
        market = _deployMarket(_config());
        _give(STEWARD, address(market), ITokens.allowToken.selector, address(this));
        _allow(address(usd));
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, treasury.account));
        market.buy(offer, signature, order, consent);
        consent = _signOrder(treasury, offer, order);
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account));
        market.buy(offer, signature, order, consent);
        signature = _signOffer(ada, offer);
        vm.chainId(block.chainid + 1);
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, treasury.account));
        market.buy(offer, signature, order, consent);
    }

    function test_expired_cancelled_and_sold_out_offers_are_refused() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.maxLicenses = 2;
        _buy(ada, offer, _order(treasury, cleo), treasury);
        _buy(ada, offer, _order(treasury, ben), treasury);
        (, uint256 sold) = market.offerState(dataset, offer.nonce);
        _eq(sold, 2, "sold");
        _expectRefusal(
            ada, offer, abi.encodeWithSelector(ILicenses.LicensesOfferSoldOut.selector, dataset, offer.nonce, 2)
        );
        offer = _offer(dataset);
        offer.nonce = 7;
        vm.prank(ada.account);
        market.cancelOffer(uint64(dataset), 7, 0, "");
        _expectRefusal(ada, offer, abi.encodeWithSelector(ILicenses.LicensesOfferCancelled.selector, dataset, 7));
        offer.nonce = 8;
        offer.expiry = uint40(block.timestamp - 1);
        _expectRefusal(
            ada,
            offer,
            abi.encodeWithSelector(ILicenses.LicensesExpired.selector, uint256(offer.expiry), block.timestamp)
        );
    }

    function test_an_offer_is_cancelled_by_its_owner_or_her_signature_alone() public {
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotOwner.selector, dataset, ada.account, mallory.account));
        vm.prank(mallory.account);
        market.cancelOffer(uint64(dataset), 1, block.timestamp, "");
        bytes32 message = keccak256(
            abi.encode(
                keccak256("OfferCancellation(uint64 dataset,uint256 nonce,uint256 deadline)"),
                dataset,
                1,
                block.timestamp
            )
        );
        bytes memory signature = _signMarket(mallory, message);
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account));
        market.cancelOffer(uint64(dataset), 1, block.timestamp, signature);
        signature = _signMarket(ada, message);
        market.cancelOffer(uint64(dataset), 1, block.timestamp, signature);
        (bool cancelled,) = market.offerState(dataset, 1);
        _true(cancelled, "cancelled");
        _refused(abi.encodeWithSelector(ILicenses.LicensesOfferCancelled.selector, dataset, 1));
        market.cancelOffer(uint64(dataset), 1, block.timestamp, signature);
    }

    function test_an_offer_for_one_licensee_sells_to_no_other() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.licensee = ben.account;
        _expectRefusal(
            ada, offer, abi.encodeWithSelector(ILicenses.LicensesOfferForOther.selector, ben.account, cleo.account)
        );
        _buy(ada, offer, _order(treasury, ben), treasury);
    }

    function test_offers_without_uses_cure_or_end_of_hold_are_refused() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.uses = 0;
        _expectRefusal(ada, offer, abi.encodeWithSelector(ILicenses.LicensesNoUses.selector));
        offer = _offer(dataset);
        offer.cureDays = 0;
        _expectRefusal(ada, offer, abi.encodeWithSelector(ILicenses.LicensesNoCurePeriod.selector));
        offer = _offer(dataset);
        offer.holdSeconds = 365 days + 1;
        _expectRefusal(
            ada,
            offer,
            abi.encodeWithSelector(ILicenses.LicensesHoldTooLong.selector, uint256(365 days + 1), uint256(365 days))
        );
    }

    function test_an_unknown_dataset_and_a_zero_licensee_are_refused() public {
        ILicenses.Offer memory offer = _offer(99);
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        vm.expectPartialRevert(bytes4(keccak256("ERC721NonexistentToken(uint256)")));
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
        order.licensee = address(0);
        _refused(abi.encodeWithSelector(ILicenses.LicensesZeroLicensee.selector));
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
    }

    function test_a_fee_that_never_was_in_force_is_refused_and_an_earlier_one_is_kept() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.feeBps = 100;
        _expectRefusal(
            ada, offer, abi.encodeWithSelector(ILicenses.LicensesFeeNeverInForce.selector, 100, uint256(FEE))
        );
        market.setFee(100);
        _eq(market.fee(), 100, "fee");
        _buy(ada, offer, _order(treasury, cleo), treasury);
        offer.feeBps = FEE;
        _buy(ada, offer, _order(treasury, cleo), treasury);
        _refused(abi.encodeWithSelector(ILicenses.LicensesFeeTooHigh.selector, 501, 500));
        market.setFee(501);
    }

    function test_ten_distinct_fees_fit_and_an_old_one_may_return() public {
        for (uint16 fee = 1; fee <= 9; ++fee) {
            market.setFee(fee);
        }
        _refused(abi.encodeWithSelector(ILicenses.LicensesFeeHistoryFull.selector, 10));
        market.setFee(10);
        market.setFee(FEE);
        _eq(market.fee(), FEE, "returned");
        for (uint16 fee = 1; fee <= 9; ++fee) {
            _true(market.feeWasInForce(fee), "kept");
        }
        _true(!market.feeWasInForce(10), "never");
    }

    function test_a_license_ends_with_its_term() public {
        (uint64 id,) = _buyFor(dataset, ada, treasury, cleo);
        vm.warp(block.timestamp + 365 days - 1);
        _true(market.isActive(id, 1), "last second");
        vm.warp(block.timestamp + 1);
        _true(!market.isActive(id, 1), "over");
        ILicenses.Offer memory offer = _offer(dataset);
        offer.termSeconds = 0;
        id = _buy(ada, offer, _order(treasury, cleo), treasury);
        vm.warp(block.timestamp + 50 * 365 days);
        _true(market.isActive(id, 1), "perpetual");
    }

    function test_unknown_licenses_are_active_for_nothing() public {
        _true(!market.isActive(0, 0), "zero");
        _true(!market.isActive(1, 1), "unsold");
        _refused(abi.encodeWithSelector(ILicenses.LicensesUnknown.selector, 1));
        market.license(1);
    }

    function test_licenses_do_not_transfer() public {
        (uint64 id,) = _buyFor(dataset, ada, treasury, cleo);
        bytes memory reason = abi.encodeWithSelector(ILicenses.NotTransferable.selector);
        _refused(reason);
        market.safeTransferFrom(cleo.account, ben.account, id, 1, "");
        _refused(reason);
        market.safeBatchTransferFrom(cleo.account, ben.account, _ids(id), _ids(1), "");
        _refused(reason);
        market.setApprovalForAll(ben.account, true);
        _true(!market.isApprovedForAll(cleo.account, ben.account), "approval");
        address[] memory accounts = new address[](2);
        (accounts[0], accounts[1]) = (cleo.account, ben.account);
        uint256[] memory balances = market.balanceOfBatch(accounts, _ids(id, id));
        _eq(balances[0], 1, "cleo");
        _eq(balances[1], 0, "ben");
        _true(market.supportsInterface(0xd9b67a26) && market.supportsInterface(0x0e89341c), "ERC-1155");
        market.setURI("ipfs://x");
        _eq(keccak256(bytes(market.uri(id))), keccak256("ipfs://x"), "URI");
    }

    function testFuzz_money_goes_from_the_payer_to_its_bucket(uint64 price, uint32 hold, bool viaDeposit) public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.price = uint64(_bound(price, 1, 1e12));
        offer.holdSeconds = uint32(_bound(hold, 0, 365 days));
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        if (viaDeposit) {
            vm.prank(treasury.account);
            market.deposit(address(usd), treasury.account, offer.price);
            vm.prank(treasury.account);
            market.buyFromDeposit(offer, signature, order, "");
        } else {
            vm.prank(treasury.account);
            market.buy(offer, signature, order, "");
        }
        _eq(usd.balanceOf(address(market)), offer.price, "balance");
        uint256 bucket = market.purchaseOf(treasury.account, order.order).bucket;
        if (offer.holdSeconds == 0) {
            _eq(market.releasable(address(usd)), offer.price, "released at once");
            return;
        }
        _true(bucket * 1 days >= block.timestamp + offer.holdSeconds, "held long enough");
        _true(bucket * 1 days < block.timestamp + offer.holdSeconds + 1 days, "held no longer");
        _eq(market.held(address(usd), bucket), offer.price, "held");
        vm.warp(bucket * 1 days - 1);
        _eq(market.releasable(address(usd)), 0, "still held");
        vm.warp(bucket * 1 days);
        _eq(market.releasable(address(usd)), offer.price, "released");
    }

    function testFuzz_a_word_beyond_its_type_buys_nothing_though_the_owner_signed_it(uint256 field, uint256 bit)
        public
    {
        uint16[17] memory widths = [64, 32, 256, 256, 16, 64, 160, 16, 32, 32, 40, 32, 160, 16, 16, 64, 256];
        field = _bound(field, 0, 16);
        uint256 beyond = 0;
        if (widths[field] < 256) beyond = 1 << _bound(bit, widths[field], 255);
        ILicenses.Offer memory offer = _offer(dataset);
        bytes memory words = abi.encode(offer);
        _flip(words, 32 * field, beyond);
        bytes32 hash = keccak256(bytes.concat(OFFER_TYPEHASH, words));
        bytes memory data = abi.encodeCall(ILicenses.buy, (offer, _signMarket(ada, hash), _order(treasury, cleo), ""));
        _flip(data, 4 + 32 * field, beyond);
        vm.prank(treasury.account);
        (bool bought,) = address(market).call(data);
        _eq(bought ? 1 : 0, beyond == 0 ? 1 : 0, "bought");
    }

    /// @dev Flips bits in the word that begins at `offset`.
    function _flip(bytes memory data, uint256 offset, uint256 bits) private pure {
        assembly ("memory-safe") {
            let word := add(add(data, 0x20), offset)
            mstore(word, xor(mload(word), bits))
        }
    }

    function _expectRefusal(Person memory signer, ILicenses.Offer memory offer, bytes memory reason) private {
        ILicenses.Order memory order = _order(treasury, cleo);
        bytes memory signature = _signOffer(signer, offer);
        _refused(reason);
        vm.prank(treasury.account);
        market.buy(offer, signature, order, "");
    }

    function _expectRecord(uint64 id, ILicenses.Offer memory offer, ILicenses.Order memory order) private view {
        ILicenses.License memory license = market.license(id);
        _eq(license.licensee, order.licensee, "licensee");
        _eq(license.dataset, offer.dataset, "dataset");
        _eq(license.end, block.timestamp + offer.termSeconds, "end");
        _eq(license.uses, offer.uses, "uses");
        _eq(license.status, 1, "status");
        ILicenses.Purchase memory purchase = market.purchaseOf(order.payer, order.order);
        _eq(purchase.license, id, "license");
        _eq(purchase.price, offer.price, "price");
        uint256 bucket = offer.holdSeconds == 0 ? 0 : (block.timestamp + offer.holdSeconds + 1 days - 1) / 1 days;
        _eq(purchase.bucket, bucket, "bucket");
        _eq(purchase.start, block.timestamp, "start");
        _eq(purchase.grounds, offer.grounds, "grounds");
        _eq(purchase.cureDays, offer.cureDays, "cure");
        _eq(purchase.feeBps, offer.feeBps, "fee");
        _eq(market.tokenAt(purchase.token), offer.token, "token");
    }
}
