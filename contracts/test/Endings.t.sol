// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {Cast} from "./Cast.sol";

/// @dev Refunds and revocations.
contract EndingsTest is Cast {
    uint256 private dataset;
    uint64 private license;
    ILicenses.Order private order;

    bytes32 private constant REASON = keccak256("resold");

    function setUp() public override {
        super.setUp();
        dataset = _register(ada, 500);
        (license, order) = _buyFor(dataset, ada, treasury, cleo);
    }

    function test_the_owner_refunds_the_whole_price_to_the_payer_while_it_is_held() public {
        uint256 before = usd.balanceOf(treasury.account);
        vm.prank(ada.account);
        market.refund(treasury.account, order.order);
        _eq(usd.balanceOf(treasury.account) - before, PRICE, "returned");
        _eq(usd.balanceOf(address(market)), 0, "market");
        _eq(market.license(license).status, 2, "status");
        _eq(market.balanceOf(cleo.account, license), 0, "ERC-1155");
        _true(!market.isActive(license, 1), "inactive");
        _pass(30 days);
        _eq(market.releasable(address(usd)), 0, "never revenue");
    }

    function test_a_refund_happens_once() public {
        vm.prank(refunder.account);
        market.refund(treasury.account, order.order);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotActive.selector, uint256(license), 2));
        vm.prank(refunder.account);
        market.refund(treasury.account, order.order);
    }

    function test_nobody_else_refunds_and_no_unknown_order() public {
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotRefunder.selector, dataset, mallory.account));
        vm.prank(mallory.account);
        market.refund(treasury.account, order.order);
        _refused(abi.encodeWithSelector(ILicenses.LicensesUnknownOrder.selector, mallory.account, order.order));
        vm.prank(ada.account);
        market.refund(mallory.account, order.order);
    }

    function test_nothing_is_refunded_after_the_hold() public {
        uint256 heldUntil = uint256(market.purchaseOf(treasury.account, order.order).bucket) * 1 days;
        vm.warp(heldUntil);
        _refused(abi.encodeWithSelector(ILicenses.LicensesHoldOver.selector, uint256(license), heldUntil, heldUntil));
        vm.prank(ada.account);
        market.refund(treasury.account, order.order);
    }

    function test_without_a_hold_there_is_no_refund() public {
        ILicenses.Offer memory offer = _offer(dataset);
        offer.holdSeconds = 0;
        ILicenses.Order memory other = _order(treasury, cleo);
        uint64 id = _buy(ada, offer, other, treasury);
        _refused(
            abi.encodeWithSelector(ILicenses.LicensesHoldOver.selector, uint256(id), block.timestamp, block.timestamp)
        );
        vm.prank(ada.account);
        market.refund(treasury.account, other.order);
    }

    function test_a_refund_leaves_the_neighbours_in_its_bucket() public {
        _buyFor(dataset, ada, treasury, ben);
        vm.prank(ada.account);
        market.refund(treasury.account, order.order);
        _pass(30 days);
        _eq(market.releasable(address(usd)), PRICE, "the other purchase");
    }

    function test_a_revocation_needs_an_agreed_ground_notice_and_a_cure_period() public {
        _refused(abi.encodeWithSelector(ILicenses.LicensesGroundNotAgreed.selector, uint256(license), 4, 3));
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 4, REASON, 0, "");
        _refused(abi.encodeWithSelector(ILicenses.LicensesGroundNotAgreed.selector, uint256(license), 3, 3));
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 3, REASON, 0, "");
        uint256 due = block.timestamp + 14 days;
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 2, REASON, 0, "");
        _true(market.isActive(license, 1), "still active");
        vm.warp(due - 1);
        _refused(abi.encodeWithSelector(ILicenses.LicensesCurePeriod.selector, uint256(license), due, due - 1));
        market.executeRevocation(license);
        vm.warp(due);
        market.executeRevocation(license);
        _true(!market.isActive(license, 1), "ended");
        _eq(market.license(license).status, 3, "status");
        _refused(abi.encodeWithSelector(ILicenses.LicensesNoRevocation.selector, uint256(license)));
        market.executeRevocation(license);
    }

    function test_a_cured_revocation_is_withdrawn_and_its_signature_is_spent() public {
        bytes memory signature = _announcement(0);
        market.announceRevocation(treasury.account, order.order, 1, REASON, block.timestamp, signature);
        _refused(
            abi.encodeWithSelector(
                ILicenses.LicensesRevocationPending.selector, uint256(license), block.timestamp + 14 days
            )
        );
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 1, REASON, 0, "");
        bytes memory withdrawal = _signMarket(
            ada,
            keccak256(
                abi.encode(
                    keccak256("RevocationWithdrawal(uint64 license,uint32 round,uint256 deadline)"),
                    license,
                    1,
                    block.timestamp
                )
            )
        );
        market.withdrawRevocation(license, block.timestamp, withdrawal);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNoRevocation.selector, uint256(license)));
        market.executeRevocation(license);
        _refused(abi.encodeWithSelector(ILicenses.LicensesBadSignature.selector, ada.account));
        market.announceRevocation(treasury.account, order.order, 1, REASON, block.timestamp, signature);
        signature = _announcement(1);
        market.announceRevocation(treasury.account, order.order, 1, REASON, block.timestamp, signature);
        _eq(market.revocationOf(license).round, 2, "round");
    }

    function test_the_operator_cannot_revoke() public {
        Person[4] memory operators = [refunder, resolver, guardian, proposer];
        for (uint256 i = 0; i < operators.length; ++i) {
            _refused(
                abi.encodeWithSelector(ILicenses.LicensesNotOwner.selector, dataset, ada.account, operators[i].account)
            );
            vm.prank(operators[i].account);
            market.announceRevocation(treasury.account, order.order, 1, REASON, block.timestamp, "");
        }
    }

    function test_an_irrevocable_license_stays() public {
        ILicenses.Offer memory offer = _offer(dataset);
        (offer.grounds, offer.cureDays) = (0, 0);
        ILicenses.Order memory other = _order(treasury, cleo);
        uint64 id = _buy(ada, offer, other, treasury);
        _refused(abi.encodeWithSelector(ILicenses.LicensesGroundNotAgreed.selector, uint256(id), 1, 0));
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, other.order, 1, REASON, 0, "");
    }

    function test_a_refunded_license_is_not_revoked_as_well() public {
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 1, REASON, 0, "");
        vm.prank(ada.account);
        market.refund(treasury.account, order.order);
        _pass(14 days);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotActive.selector, uint256(license), 2));
        market.executeRevocation(license);
        _refused(abi.encodeWithSelector(ILicenses.LicensesNotActive.selector, uint256(license), 2));
        vm.prank(ada.account);
        market.announceRevocation(treasury.account, order.order, 1, REASON, 0, "");
    }

    function _announcement(uint32 round) private returns (bytes memory) {
        return _signMarket(
            ada,
            keccak256(
                abi.encode(
                    keccak256("Revocation(uint64 license,uint16 ground,bytes32 reason,uint32 round,uint256 deadline)"),
                    license,
                    1,
                    REASON,
                    round,
                    block.timestamp
                )
            )
        );
    }
}
