// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {TestUSD} from "../src/TestUSD.sol";
import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {ITokens} from "../src/interfaces/ITokens.sol";
import {PayoutTree} from "../src/lib/PayoutTree.sol";
import {Cast} from "./Cast.sol";

/// @dev A token with a list of accounts that it does not pay.
contract BlockingUSD is TestUSD {
    mapping(address account => bool) public blocked;

    error Blocked(address account);

    function block_(address account, bool value) external {
        blocked[account] = value;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (blocked[to]) revert Blocked(to);
        super._update(from, to, amount);
    }
}

contract PayoutsTest is Cast {
    uint256 private constant REVENUE = 1_000_000;

    uint256 private _dataset;

    function setUp() public override {
        super.setUp();
        usd = new BlockingUSD();
        _allow(address(usd));
        market.setProposer(address(usd), proposer.account);
        Person[4] memory rich = [cleo, treasury, mallory, proposer];
        for (uint256 i = 0; i < rich.length; ++i) {
            usd.mint(rich[i].account, 1e12);
            vm.prank(rich[i].account);
            usd.approve(address(market), type(uint256).max);
        }
        _earn(uint64(REVENUE));
    }

    function test_a_root_is_proposed_accepted_after_its_window_and_claimed() public {
        Leaf[] memory leaves = _people(5, 100);
        bytes32[] memory tree = _tree(leaves);
        _propose(1, tree[0], 500);
        IPayouts.Books memory books = market.books(address(usd));
        _eq(books.pendingRoot, tree[0], "pending");
        _eq(books.acceptAt, block.timestamp + WINDOW, "window");
        _eq(books.root, 0, "not live yet");
        bytes32[] memory proof = _prove(tree, 2);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.claim(address(usd), leaves[2].payee, 100, proof);
        uint256 due = block.timestamp + WINDOW;
        vm.warp(due - 1);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsWindowOpen.selector, due, due - 1));
        market.accept(address(usd), 1);
        vm.warp(due);
        vm.prank(mallory.account);
        market.accept(address(usd), 1);
        _eq(market.claim(address(usd), leaves[2].payee, 100, proof), 100, "paid");
        _eq(usd.balanceOf(_account(2)), 100, "arrived");
        _eq(market.paid(address(usd), leaves[2].payee), 100, "booked");
        _eq(market.books(address(usd)).owed, 400, "owed");
        _refused(
            abi.encodeWithSelector(IPayouts.PayoutsNothingDue.selector, address(usd), uint256(leaves[2].payee), 100)
        );
        market.claim(address(usd), leaves[2].payee, 100, proof);
    }

    function test_a_later_root_pays_the_difference_only() public {
        Leaf[] memory leaves = _people(3, 100);
        bytes32[] memory tree = _settle(1, leaves);
        market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0));
        leaves[0].amount = 250;
        tree = _settle(2, leaves);
        _eq(market.claim(address(usd), leaves[0].payee, 250, _prove(tree, 0)), 150, "difference");
        _eq(market.claim(address(usd), leaves[1].payee, 100, _prove(tree, 1)), 100, "carried over");
    }

    function test_a_lowered_amount_pays_nothing_and_takes_nothing_back() public {
        Leaf[] memory leaves = _people(2, 100);
        bytes32[] memory tree = _settle(1, leaves);
        market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0));
        leaves[0].amount = 40;
        tree = _tree(leaves);
        _propose(2, tree[0], 200);
        _pass(WINDOW);
        market.accept(address(usd), 2);
        bytes32[] memory proof = _prove(tree, 0);
        _refused(
            abi.encodeWithSelector(IPayouts.PayoutsNothingDue.selector, address(usd), uint256(leaves[0].payee), 100)
        );
        market.claim(address(usd), leaves[0].payee, 40, proof);
        _eq(market.push(address(usd), 2, 0, _pack(leaves, 0, 2), _proveRange(tree, 0, 2)), 100, "the other payee");
    }

    function test_two_leaves_of_one_payee_pay_the_larger_once() public {
        Leaf[] memory leaves = _people(3, 100);
        leaves[1] = Leaf(leaves[0].payee, 150);
        bytes32[] memory tree = _settle(1, leaves);
        _eq(market.push(address(usd), 3, 0, _pack(leaves, 0, 3), _proveRange(tree, 0, 3)), 250, "100, 50, 100");
        _eq(usd.balanceOf(_account(0)), 150, "once");
    }

    function test_a_root_that_promises_more_than_its_total_pays_no_more_than_that() public {
        Leaf[] memory leaves = _people(3, 100);
        bytes32[] memory tree = _tree(leaves);
        _propose(1, tree[0], 150);
        _pass(WINDOW);
        market.accept(address(usd), 1);
        market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0));
        bytes32[] memory proof = _prove(tree, 1);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsExceedsTotal.selector, address(usd), 100, 50));
        market.claim(address(usd), leaves[1].payee, 100, proof);
        proof = _proveRange(tree, 1, 2);
        bytes memory packed = _pack(leaves, 1, 2);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsExceedsTotal.selector, address(usd), 100, 50));
        market.push(address(usd), 3, 1, packed, proof);
    }

    function test_a_total_above_released_revenue_is_refused_with_what_is_held() public {
        (, bytes32 order) = _earnHeld(500, 7 days);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsTotalExceedsRevenue.selector, REVENUE + 1, REVENUE));
        _propose(1, keccak256("root"), uint64(REVENUE + 1));
        vm.warp(uint256(market.purchaseOf(treasury.account, order).bucket) * 1 days);
        _propose(1, keccak256("root"), uint64(REVENUE + 500));
    }

    function test_only_the_proposer_proposes_and_one_root_waits_at_a_time() public {
        _refused(
            abi.encodeWithSelector(
                IPayouts.PayoutsNotProposer.selector, address(usd), proposer.account, mallory.account
            )
        );
        vm.prank(mallory.account);
        market.propose(address(usd), 1, 1, 0, keccak256("root"), 1, 0);
        _propose(1, keccak256("root"), 1);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsRootPending.selector, address(usd), 1));
        _propose(2, keccak256("root"), 1);
    }

    function test_epochs_totals_roots_and_blocks_must_make_sense() public {
        _settle(5, _people(2, 100));
        _refused(abi.encodeWithSelector(IPayouts.PayoutsEpochNotNewer.selector, 5, 5));
        _propose(5, keccak256("root"), 200);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsTotalLowered.selector, 199, 200));
        _propose(6, keccak256("root"), 199);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsZeroRoot.selector));
        _propose(6, 0, 200);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsFutureBlock.selector, block.number, block.number));
        vm.prank(proposer.account);
        market.propose(address(usd), 6, uint64(block.number), 0, keccak256("root"), 200, 0);
        vm.setBlockhash(block.number - 3, keccak256("this chain"));
        _refused(
            abi.encodeWithSelector(
                IPayouts.PayoutsBlockHashMismatch.selector,
                block.number - 3,
                keccak256("another fork"),
                keccak256("this chain")
            )
        );
        vm.prank(proposer.account);
        market.propose(address(usd), 6, uint64(block.number - 3), keccak256("another fork"), keccak256("root"), 200, 0);
    }

    function test_no_epoch_is_so_far_ahead_that_a_later_one_could_not_have_a_number() public {
        bytes32 root = keccak256("root");
        uint32[2] memory far = [uint32(1025), type(uint32).max];
        for (uint256 i = 0; i < far.length; ++i) {
            _refused(abi.encodeWithSelector(IPayouts.PayoutsEpochTooFar.selector, uint256(far[i]), 1024));
            _propose(far[i], root, 100);
        }
        _propose(1024, root, 100);
        _pass(WINDOW);
        market.accept(address(usd), 1024);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsEpochTooFar.selector, 2049, 2048));
        _propose(2049, root, 100);
        _propose(2048, root, 100);
    }

    function test_a_guardian_strikes_a_stolen_proposers_root_down_and_nothing_is_paid() public {
        Leaf[] memory leaves = _people(1, uint64(REVENUE));
        bytes32[] memory tree = _tree(leaves);
        _propose(1, tree[0], uint64(REVENUE));
        vm.prank(guardian.account);
        market.veto(address(usd), 1, keccak256("stolen key"));
        _pass(WINDOW);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsNoRootPending.selector, address(usd), 1));
        market.accept(address(usd), 1);
        bytes32[] memory proof = _prove(tree, 0);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.claim(address(usd), leaves[0].payee, uint64(REVENUE), proof);
        _eq(market.books(address(usd)).owed, 0, "owed");
    }

    function test_a_struck_root_never_becomes_live_and_the_accepted_one_stays() public {
        Leaf[] memory leaves = _people(3, 100);
        for (uint32 round = 0; round < 3; ++round) {
            _propose(1, keccak256(abi.encode(round)), 1);
            _eq(market.books(address(usd)).root, 0, "nothing is live");
            vm.prank(guardian.account);
            market.veto(address(usd), 1, "");
        }
        bytes32[] memory tree = _settle(1, leaves);
        for (uint32 round = 0; round < 3; ++round) {
            _propose(2, keccak256(abi.encode(round)), 300);
            _eq(market.books(address(usd)).root, tree[0], "live");
            vm.prank(guardian.account);
            market.veto(address(usd), 2, "");
            market.claim(address(usd), leaves[round].payee, 100, _prove(tree, round));
        }
    }

    function test_the_veto_needs_the_role_and_is_not_the_proposers() public {
        _propose(1, keccak256("root"), 1);
        vm.expectPartialRevert(bytes4(keccak256("AccessManagedUnauthorized(address)")));
        vm.prank(mallory.account);
        market.veto(address(usd), 1, "");
        authority.grantRole(GUARDIAN, proposer.account, 0);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsVetoByProposer.selector, proposer.account));
        vm.prank(proposer.account);
        market.veto(address(usd), 1, "");
        _refused(abi.encodeWithSelector(IPayouts.PayoutsNoRootPending.selector, address(usd), 2));
        vm.prank(guardian.account);
        market.veto(address(usd), 2, "");
    }

    function test_push_and_claim_share_one_account_of_what_was_paid() public {
        Leaf[] memory leaves = _people(10, 100);
        bytes32[] memory tree = _settle(1, leaves);
        market.claim(address(usd), leaves[4].payee, 100, _prove(tree, 4));
        _eq(market.push(address(usd), 10, 2, _pack(leaves, 2, 6), _proveRange(tree, 2, 6)), 500, "five of six");
        for (uint256 k = 2; k < 8; ++k) {
            _eq(usd.balanceOf(_account(k)), 100, "once");
        }
        bytes32[] memory proof = _prove(tree, 5);
        vm.expectPartialRevert(IPayouts.PayoutsNothingDue.selector);
        market.claim(address(usd), leaves[5].payee, 100, proof);
        _eq(market.push(address(usd), 10, 0, _pack(leaves, 0, 10), _proveRange(tree, 0, 10)), 400, "the rest");
        _eq(market.push(address(usd), 10, 0, _pack(leaves, 0, 10), _proveRange(tree, 0, 10)), 0, "nothing twice");
        _eq(market.books(address(usd)).owed, 0, "owed");
    }

    function test_one_bad_payee_does_not_stop_a_push_and_keeps_its_share() public {
        Leaf[] memory leaves = _people(6, 100);
        bytes32[] memory tree = _settle(1, leaves);
        BlockingUSD(address(usd)).block_(_account(3), true);
        vm.expectEmit(address(market));
        emit IPayouts.PayoutSkipped(address(usd), leaves[3].payee, 100, 2);
        _eq(market.push(address(usd), 6, 0, _pack(leaves, 0, 6), _proveRange(tree, 0, 6)), 500, "the others");
        _eq(market.paid(address(usd), leaves[3].payee), 0, "unpaid");
        bytes32[] memory proof = _prove(tree, 3);
        _refused(
            abi.encodeWithSelector(
                ITokens.TokenTransferFailed.selector, address(usd), address(market), _account(3), 100
            )
        );
        market.claim(address(usd), leaves[3].payee, 100, proof);
        BlockingUSD(address(usd)).block_(_account(3), false);
        _eq(market.claim(address(usd), leaves[3].payee, 100, proof), 100, "later");
    }

    function test_too_little_gas_cannot_make_a_payout_or_a_bond_look_refused() public {
        Leaf[] memory leaves = _people(6, 100);
        bytes32[] memory tree = _settle(1, leaves);
        bytes memory packed = _pack(leaves, 0, 6);
        bytes32[] memory proof = _proveRange(tree, 0, 6);
        for (uint256 gasLimit = 120_000; gasLimit < 500_000; gasLimit += 7_919) {
            (bool ok,) =
                address(market).call{gas: gasLimit}(abi.encodeCall(IPayouts.push, (address(usd), 6, 0, packed, proof)));
            if (!ok) continue;
            _eq(market.books(address(usd)).owed, 0, "all or nothing");
            break;
        }
        _eq(market.books(address(usd)).owed, 0, "enough gas at last");
        vm.warp(uint256(market.books(address(usd)).acceptedAt) + IDLE);
        _proposeWithBond(mallory, 2, tree[0]);
        _pass(OPEN_WINDOW);
        for (uint256 gasLimit = 30_000; market.books(address(usd)).epoch == 1; gasLimit += 3_001) {
            (bool ok,) = address(market).call{gas: gasLimit}(abi.encodeCall(IPayouts.accept, (address(usd), 2)));
            ok; // too little gas is refused as a whole
        }
        _eq(market.forfeits(address(usd)), 0, "the bond went back");
    }

    function test_an_invited_contributors_share_waits_until_it_accepts() public {
        Leaf[] memory leaves = _people(3, 100);
        Person memory guest = _person("guest");
        leaves[2] = Leaf(market.invitePayee(guest.account), 100);
        bytes32[] memory tree = _settle(1, leaves);
        bytes32[] memory proof = _prove(tree, 2);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsPayeeNotAccepted.selector, uint256(leaves[2].payee)));
        market.claim(address(usd), leaves[2].payee, 100, proof);
        vm.expectEmit(address(market));
        emit IPayouts.PayoutSkipped(address(usd), leaves[2].payee, 100, 1);
        market.push(address(usd), 3, 0, _pack(leaves, 0, 3), _proveRange(tree, 0, 3));
        vm.prank(guest.account);
        market.acceptPayee(guest.account, 0, "");
        _eq(market.claim(address(usd), leaves[2].payee, 100, proof), 100, "paid");
    }

    function test_many_claims_in_one_transaction_pass_over_whoever_cannot_be_paid() public {
        Leaf[] memory leaves = _people(4, 100);
        bytes32[] memory tree = _settle(1, leaves);
        market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0));
        BlockingUSD(address(usd)).block_(_account(1), true);
        IPayouts.Claim[] memory claims = new IPayouts.Claim[](5);
        for (uint256 k = 0; k < 4; ++k) {
            claims[k] = IPayouts.Claim(leaves[k].payee, 100, _prove(tree, k));
        }
        claims[4] = claims[3];
        _eq(market.claimMany(address(usd), claims), 200, "two of four, none twice");
        claims[2].proof[0] = 0;
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.claimMany(address(usd), claims);
    }

    function test_ranges_that_are_empty_ragged_or_outside_the_tree_are_refused() public {
        Leaf[] memory leaves = _people(4, 100);
        bytes32[] memory tree = _settle(1, leaves);
        bytes32[] memory proof = _proveRange(tree, 0, 4);
        bytes memory packed = _pack(leaves, 0, 4);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsMalformedRange.selector, 0, 0, 4));
        market.push(address(usd), 4, 0, "", proof);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsMalformedRange.selector, 0, 4, 4));
        market.push(address(usd), 4, 0, bytes.concat(packed, hex"00"), proof);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsMalformedRange.selector, 1, 4, 4));
        market.push(address(usd), 4, 1, packed, proof);
        bytes32[] memory longer = new bytes32[](1);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.push(address(usd), 4, 0, packed, longer);
        leaves[1].amount = 101;
        packed = _pack(leaves, 0, 4);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.push(address(usd), 4, 0, packed, proof);
    }

    function test_whatever_position_a_push_claims_it_pays_and_names_the_payee_of_the_leaf() public {
        Leaf[] memory leaves = _people(4, 100);
        bytes32[] memory tree = _settle(1, leaves);
        bytes memory third = _pack(leaves, 2, 1);
        // The fourth leaf is the sibling of the third: the same proof passes for its position, and for a smaller tree.
        bytes32[] memory proof = _prove(tree, 2);
        vm.expectEmit(address(market));
        emit IPayouts.Pushed(address(usd), 1, 100, third);
        _eq(market.push(address(usd), 4, 3, third, proof), 100, "total");
        _eq(market.paid(address(usd), leaves[2].payee), 100, "the third");
        _eq(market.paid(address(usd), leaves[3].payee), 0, "the fourth");
        _eq(market.push(address(usd), 3, 1, _pack(leaves, 3, 1), _prove(tree, 3)), 100, "a tree of three");
        _eq(market.paid(address(usd), leaves[3].payee), 100, "the fourth");
        _eq(market.push(address(usd), 4, 2, third, proof), 0, "twice");
    }

    function test_a_root_of_one_payee_is_its_leaf() public {
        Leaf[] memory leaves = _people(1, 100);
        bytes32[] memory none = new bytes32[](0);
        _settle(1, leaves);
        bytes memory packed = _pack(leaves, 0, 1);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.push(address(usd), 1, 0, packed, new bytes32[](1));
        _eq(market.push(address(usd), 1, 0, packed, none), 100, "pushed");
        leaves[0].amount = 130;
        _settle(2, leaves);
        _eq(market.claim(address(usd), leaves[0].payee, 130, none), 30, "claimed");
    }

    function test_a_payee_that_moves_is_paid_at_its_new_address_under_roots_from_before() public {
        Leaf[] memory leaves = _people(2, 100);
        bytes32[] memory tree = _settle(1, leaves);
        address home = _account(0);
        vm.prank(home);
        market.announcePayeeChange(leaves[0].payee, ben.account, 0, "");
        _pass(3 days);
        market.applyPayeeChange(leaves[0].payee);
        uint256 before = usd.balanceOf(ben.account);
        market.push(address(usd), 2, 0, _pack(leaves, 0, 2), _proveRange(tree, 0, 2));
        _eq(usd.balanceOf(ben.account) - before, 100, "at its new address");
        _eq(usd.balanceOf(home), 0, "at its old address");
        vm.prank(home);
        _true(market.acceptPayee(home, 0, "") != leaves[0].payee, "the old address is a payee of its own");
    }

    function test_an_inner_node_does_not_pass_for_a_leaf() public {
        Leaf[] memory leaves = _people(4, 100);
        bytes32[] memory tree = _settle(1, leaves);
        // An inner node is a hash of 64 bytes: no payee and amount hash to it. The root alone proves nothing either.
        _refused(abi.encodeWithSelector(IPayouts.PayoutsInvalidProof.selector, address(usd)));
        market.claim(address(usd), uint32(uint256(tree[1])), uint64(uint256(tree[2])), new bytes32[](0));
    }

    function test_proposing_is_open_to_anyone_with_a_bond_once_no_root_was_accepted_for_long() public {
        uint256 idleFrom = uint256(market.books(address(usd)).acceptedAt) + IDLE;
        Leaf[] memory leaves = _people(2, 100);
        bytes32[] memory tree = _tree(leaves);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsNotIdle.selector, address(usd), idleFrom, block.timestamp));
        _proposeWithBond(mallory, 1, tree[0]);
        vm.warp(idleFrom);
        uint256 before = usd.balanceOf(mallory.account);
        _proposeWithBond(mallory, 1, tree[0]);
        _eq(before - usd.balanceOf(mallory.account), BOND, "bond");
        vm.warp(idleFrom + OPEN_WINDOW - 1);
        vm.expectPartialRevert(IPayouts.PayoutsWindowOpen.selector);
        market.accept(address(usd), 1);
        vm.warp(idleFrom + OPEN_WINDOW);
        market.accept(address(usd), 1);
        _eq(usd.balanceOf(mallory.account), before, "bond back");
        market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0));
        vm.expectPartialRevert(IPayouts.PayoutsNotIdle.selector);
        _proposeWithBond(mallory, 2, tree[0]);
    }

    function test_a_struck_bonded_root_forfeits_its_bond() public {
        vm.warp(uint256(market.books(address(usd)).acceptedAt) + IDLE);
        _proposeWithBond(mallory, 1, keccak256("root"));
        authority.grantRole(GUARDIAN, mallory.account, 0);
        _refused(abi.encodeWithSelector(IPayouts.PayoutsVetoByProposer.selector, mallory.account));
        vm.prank(mallory.account);
        market.veto(address(usd), 1, "");
        vm.prank(guardian.account);
        market.veto(address(usd), 1, "");
        _eq(market.forfeits(address(usd)), BOND, "forfeited");
        market.withdrawForfeits(address(usd), ada.account);
        _eq(usd.balanceOf(ada.account), BOND, "withdrawn");
        _eq(usd.balanceOf(address(market)), REVENUE, "the rest stays");
        _propose(1, keccak256("root"), 1);
    }

    function test_a_bond_that_cannot_be_returned_does_not_hold_up_the_root() public {
        vm.warp(uint256(market.books(address(usd)).acceptedAt) + IDLE);
        _proposeWithBond(mallory, 1, keccak256("root"));
        BlockingUSD(address(usd)).block_(mallory.account, true);
        _pass(OPEN_WINDOW);
        market.accept(address(usd), 1);
        _eq(market.books(address(usd)).epoch, 1, "accepted");
        _eq(market.forfeits(address(usd)), BOND, "kept");
    }

    function test_a_token_that_was_never_allowed_takes_no_bonded_root() public {
        _refused(abi.encodeWithSelector(ITokens.TokenNotAllowed.selector, address(1)));
        market.proposeWithBond(address(1), 1, 1, 0, keccak256("root"), 0, 0);
    }

    function test_a_stopped_token_still_pays_out() public {
        Leaf[] memory leaves = _people(1, 100);
        market.stopToken(address(usd));
        bytes32[] memory tree = _settle(1, leaves);
        _eq(market.claim(address(usd), leaves[0].payee, 100, _prove(tree, 0)), 100, "paid");
    }

    function test_rolling_in_steps_releases_what_rolling_at_once_does() public {
        for (uint32 day = 1; day <= 9; ++day) {
            _earnHeld(day, day * 1 days);
        }
        _pass(20 days);
        uint256 expected = REVENUE + 45;
        _eq(market.releasable(address(usd)), expected, "at once");
        for (uint256 step = 0; step < 9; ++step) {
            market.roll(address(usd), 3);
            _eq(market.releasable(address(usd)), expected, "in steps");
        }
        _eq(market.books(address(usd)).released, expected, "rolled");
        market.roll(address(usd), type(uint256).max);
        _eq(market.books(address(usd)).released, expected, "once");
    }

    function testFuzz_rolling_counts_the_buckets_that_ended_and_no_other(uint256 once, uint256 again) public {
        uint256[12] memory heldUntil;
        for (uint32 k = 0; k < 12; ++k) {
            (, bytes32 order) = _earnHeld(uint64(1) << k, (k + 1) * 1 days);
            heldUntil[k] = uint256(market.purchaseOf(treasury.account, order).bucket) * 1 days;
        }
        _pass(_bound(once, 0, 15) * 1 days);
        market.roll(address(usd), 1000);
        _eq(market.books(address(usd)).released, REVENUE + _ended(heldUntil), "rolled");
        _pass(_bound(again, 0, 15) * 1 days);
        _eq(market.releasable(address(usd)), REVENUE + _ended(heldUntil), "to be rolled");
        market.roll(address(usd), 1000);
        _eq(market.books(address(usd)).released, REVENUE + _ended(heldUntil), "rolled again");
    }

    function testFuzz_every_leaf_and_every_range_of_every_tree_proves_itself(uint256 seed) public {
        uint256 count = _bound(seed, 1, 33);
        Leaf[] memory leaves = new Leaf[](count);
        uint32 payee = 0;
        for (uint256 k = 0; k < count; ++k) {
            payee += 1 + uint32(uint256(keccak256(abi.encode(seed, k))) % 5);
            leaves[k] = Leaf(payee, uint64(uint256(keccak256(abi.encode(seed, k, 1)))));
        }
        bytes32[] memory tree = _tree(leaves);
        uint256 first = _bound(seed >> 64, 0, count - 1);
        uint256 taken = _bound(seed >> 128, 1, count - first);
        bytes memory packed = _pack(leaves, first, taken);
        bytes32[] memory proof = _proveRange(tree, first, taken);
        _eq(this.rangeRoot(count, first, packed, proof), tree[0], "range");
        if (proof.length != 0) {
            proof[seed % proof.length] ^= bytes32(uint256(1));
            _true(this.rangeRoot(count, first, packed, proof) != tree[0], "another sibling");
        }
        packed[seed % packed.length] ^= 0x01;
        _true(this.rangeRoot(count, first, packed, _proveRange(tree, first, taken)) != tree[0], "another leaf");
    }

    function testFuzz_neighbours_in_a_slot_do_not_touch_each_other(uint64[8] memory amounts) public {
        Leaf[] memory leaves = _people(8, 1);
        uint256 total = 0;
        for (uint256 k = 0; k < 8; ++k) {
            leaves[k].amount = uint64(_bound(amounts[k], 0, REVENUE / 8));
            total += leaves[k].amount;
        }
        bytes32[] memory tree = _settle(1, leaves);
        for (uint256 k = 0; k < 8; k += 2) {
            if (leaves[k].amount != 0) {
                market.claim(address(usd), leaves[k].payee, leaves[k].amount, _prove(tree, k));
            }
        }
        market.push(address(usd), 8, 0, _pack(leaves, 0, 8), _proveRange(tree, 0, 8));
        for (uint256 k = 0; k < 8; ++k) {
            _eq(market.paid(address(usd), leaves[k].payee), leaves[k].amount, "booked");
            _eq(usd.balanceOf(_account(k)), leaves[k].amount, "arrived");
        }
        _eq(market.books(address(usd)).owed, 0, "owed");
        _eq(usd.balanceOf(address(market)), REVENUE - total, "left");
    }

    /// @dev From outside, because the library reads calldata.
    function rangeRoot(uint256 leafCount, uint256 first, bytes calldata leaves, bytes32[] calldata proof)
        external
        view
        returns (bytes32)
    {
        return PayoutTree.rangeRoot(address(usd), leafCount, first, leaves, proof);
    }

    function _proposeWithBond(Person memory person, uint32 epoch, bytes32 root) private {
        vm.prank(person.account);
        market.proposeWithBond(address(usd), epoch, uint64(block.number - 1), blockhash(block.number - 1), root, 600, 0);
    }

    function _people(uint256 count, uint64 amount) private returns (Leaf[] memory leaves) {
        leaves = new Leaf[](count);
        for (uint256 k = 0; k < count; ++k) {
            vm.prank(_account(k));
            leaves[k] = Leaf(market.acceptPayee(_account(k), 0, ""), amount);
        }
    }

    /// @dev What is released of prices that are a bit each.
    function _ended(uint256[12] memory heldUntil) private view returns (uint256 sum) {
        for (uint256 k = 0; k < 12; ++k) {
            if (heldUntil[k] <= vm.getBlockTimestamp()) sum += 1 << k;
        }
    }

    function _account(uint256 k) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("payee", k)))));
    }

    function _earn(uint64 amount) private {
        _earnHeld(amount, 0);
    }

    function _earnHeld(uint64 amount, uint32 hold) private returns (uint64 license, bytes32) {
        if (_dataset == 0) _dataset = _register(ada, 0);
        ILicenses.Offer memory offer = _offer(_dataset);
        (offer.price, offer.holdSeconds) = (amount, hold);
        ILicenses.Order memory order = _order(treasury, cleo);
        return (_buy(ada, offer, order, treasury), order.order);
    }
}
