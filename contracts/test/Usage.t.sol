// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IUsage} from "../src/interfaces/IUsage.sol";
import {Cast} from "./Cast.sol";

contract UsageTest is Cast {
    uint64 private license;
    ILicenses.Order private order;

    function setUp() public override {
        super.setUp();
        uint256 dataset = _register(ada, 500);
        ILicenses.Offer memory offer = _offer(dataset);
        offer.price = 0;
        order = _order(treasury, cleo);
        bytes memory signature = _signOffer(ada, offer);
        vm.prank(treasury.account);
        license = market.buy(offer, signature, order, "");
    }

    function test_a_voucher_moves_only_what_it_adds() public {
        _deposit(1000);
        _eq(_charge(10, 300), 300, "first");
        _eq(_charge(15, 450), 150, "second");
        _eq(_balance(), 550, "deposit");
        _eq(market.releasable(address(usd)), 450, "revenue");
        _eq(market.chargeOf(license).units, 15, "units");
        _eq(market.chargeOf(license).amount, 450, "amount");
    }

    function test_a_replayed_or_lower_voucher_is_refused() public {
        _deposit(1000);
        _charge(10, 300);
        bytes memory reason = abi.encodeWithSelector(IUsage.UsageVoucherNotNewer.selector, uint256(license), 10, 300);
        _expectRefusal(cleo, _voucher(10, 300), reason);
        _expectRefusal(cleo, _voucher(11, 299), reason);
        _expectRefusal(cleo, _voucher(9, 301), reason);
    }

    function test_use_at_a_rate_of_zero_is_recorded() public {
        _eq(_charge(1000, 0), 0, "moved");
        _eq(market.chargeOf(license).units, 1000, "units");
    }

    function test_only_the_licensee_signs_and_only_for_this_market() public {
        _deposit(1000);
        _expectRefusal(
            treasury, _voucher(10, 300), abi.encodeWithSelector(IUsage.UsageBadSignature.selector, cleo.account)
        );
        IUsage.Voucher memory voucher = _voucher(10, 300);
        bytes memory signature = _sign(cleo, _domain("Cadastre Market", address(registry)), _hash(voucher));
        _refused(abi.encodeWithSelector(IUsage.UsageBadSignature.selector, cleo.account));
        market.charge(voucher, treasury.account, order.order, signature);
    }

    function test_a_voucher_of_another_license_is_not_charged_to_this_payer() public {
        _deposit(1000);
        IUsage.Voucher memory voucher = _voucher(10, 300);
        voucher.license = 77;
        _expectRefusal(
            cleo, voucher, abi.encodeWithSelector(IUsage.UsageLicenseMismatch.selector, 77, uint256(license))
        );
    }

    function test_a_deposit_that_ran_out_is_charged_the_rest_later() public {
        _deposit(100);
        _eq(_charge(10, 300), 100, "what was there");
        _eq(market.chargeOf(license).amount, 100, "moved so far");
        _expectRefusal(
            cleo,
            _voucher(10, 300),
            abi.encodeWithSelector(IUsage.UsageDepositTooLow.selector, address(usd), treasury.account, 0, 200)
        );
        _deposit(1000);
        _eq(_charge(10, 300), 200, "the rest");
        _eq(market.releasable(address(usd)), 300, "revenue");
    }

    function test_a_withdrawal_waits_longer_than_a_settlement_takes() public {
        _deposit(1000);
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 700);
        uint256 due = block.timestamp + NOTICE;
        vm.warp(due - 1);
        _refused(abi.encodeWithSelector(IUsage.UsageWithdrawalNotice.selector, due, due - 1));
        vm.prank(treasury.account);
        market.withdraw(address(usd));
        vm.warp(due);
        uint256 before = usd.balanceOf(treasury.account);
        vm.prank(treasury.account);
        market.withdraw(address(usd));
        _eq(usd.balanceOf(treasury.account) - before, 700, "withdrawn");
        _eq(_balance(), 300, "left");
        _refused(abi.encodeWithSelector(IUsage.UsageNoWithdrawal.selector, address(usd), treasury.account));
        vm.prank(treasury.account);
        market.withdraw(address(usd));
    }

    function test_a_request_that_was_left_standing_is_no_way_out_without_notice() public {
        _deposit(1000);
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 1000);
        uint256 lapses = block.timestamp + 2 * NOTICE;
        vm.warp(lapses);
        _refused(abi.encodeWithSelector(IUsage.UsageWithdrawalLapsed.selector, lapses, lapses));
        vm.prank(treasury.account);
        market.withdraw(address(usd));
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 1000);
        vm.warp(lapses + 2 * NOTICE - 1);
        vm.prank(treasury.account);
        market.withdraw(address(usd));
        _eq(_balance(), 0, "left");
    }

    function test_what_was_used_is_charged_even_after_the_deposit_was_asked_back() public {
        _deposit(1000);
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 1000);
        _charge(10, 800);
        _pass(NOTICE);
        uint256 before = usd.balanceOf(treasury.account);
        vm.prank(treasury.account);
        market.withdraw(address(usd));
        _eq(usd.balanceOf(treasury.account) - before, 200, "the rest");
    }

    function test_nobody_asks_back_more_than_it_has_or_nothing() public {
        _deposit(10);
        _refused(abi.encodeWithSelector(IUsage.UsageDepositTooLow.selector, address(usd), treasury.account, 10, 11));
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 11);
        _refused(abi.encodeWithSelector(IUsage.UsageZeroAmount.selector));
        vm.prank(treasury.account);
        market.requestWithdrawal(address(usd), 0);
        _refused(abi.encodeWithSelector(IUsage.UsageZeroAmount.selector));
        market.deposit(address(usd), treasury.account, 0);
    }

    function test_a_deposit_by_authorization_names_its_account() public {
        bytes32 ref = keccak256("top-up");
        uint256 validBefore = block.timestamp + 1 hours;
        (uint8 v, bytes32 r, bytes32 s) =
            _signReceive(cleo, 500, validBefore, market.depositNonce(treasury.account, ref));
        vm.expectRevert();
        market.depositWithAuthorization(address(usd), cleo.account, mallory.account, 500, ref, validBefore, v, r, s);
        market.depositWithAuthorization(address(usd), cleo.account, treasury.account, 500, ref, validBefore, v, r, s);
        _eq(_balance(), 500, "deposit");
    }

    function test_vouchers_of_a_revoked_license_still_pay_for_its_use() public {
        _deposit(1000);
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 1, keccak256("x"), 0, "");
        _pass(14 days);
        market.executeRevocation(license);
        _eq(_charge(10, 300), 300, "moved");
    }

    function testFuzz_never_more_than_signed_never_more_than_deposited(uint64[6] memory amounts, uint64 first) public {
        uint256 deposited = _bound(first, 1, 1e12);
        _deposit(uint64(deposited));
        uint64 signed = 0;
        for (uint64 i = 0; i < amounts.length; ++i) {
            signed += uint64(_bound(amounts[i], 0, 1e12));
            _charge(i + 1, signed);
            uint256 moved = market.chargeOf(license).amount;
            _true(moved <= signed && moved <= deposited, "bounded");
            _eq(_balance() + moved, deposited, "conserved");
            _true(moved == signed || moved == deposited, "as much as there is");
        }
    }

    function _deposit(uint64 amount) private {
        vm.prank(treasury.account);
        market.deposit(address(usd), treasury.account, amount);
    }

    function _charge(uint64 units, uint64 amount) private returns (uint64) {
        IUsage.Voucher memory voucher = _voucher(units, amount);
        bytes memory signature = _signMarket(cleo, _hash(voucher));
        return market.charge(voucher, treasury.account, order.order, signature);
    }

    function _expectRefusal(Person memory signer, IUsage.Voucher memory voucher, bytes memory reason) private {
        bytes memory signature = _signMarket(signer, _hash(voucher));
        _refused(reason);
        market.charge(voucher, treasury.account, order.order, signature);
    }

    function _voucher(uint64 units, uint64 amount) private view returns (IUsage.Voucher memory) {
        return IUsage.Voucher(license, units, amount, keccak256("reports"));
    }

    function _hash(IUsage.Voucher memory voucher) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256("Voucher(uint64 license,uint64 cumulativeUnits,uint64 cumulativeAmount,bytes32 reportsRoot)"),
                voucher
            )
        );
    }

    function _balance() private view returns (uint256) {
        return market.depositOf(address(usd), treasury.account).balance;
    }
}
