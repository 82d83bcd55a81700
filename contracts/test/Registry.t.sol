// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC721Errors} from "@openzeppelin/contracts/interfaces/draft-IERC6093.sol";

import {DatasetRegistry} from "../src/DatasetRegistry.sol";
import {IDatasetRegistry} from "../src/interfaces/IDatasetRegistry.sol";
import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {Cast} from "./Cast.sol";

contract RegistryTest is Cast {
    bytes32 private constant DERIVATION = keccak256("Derivation(uint256 license,address owner,bytes32 manifest)");

    function test_ada_registers_through_a_relayer_and_owns_her_dataset() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        bytes memory signature = _signRegistry(ada, _hashRegistration(r));
        vm.prank(mallory.account);
        uint256 id = registry.registerWithSig(r, new bytes[](0), signature);
        _eq(id, 1, "first id");
        _eq(registry.ownerOf(id), ada.account, "owner");
        _eq(registry.balanceOf(ada.account), 1, "balance");
        _eq(registry.datasetOf(ada.account, r.manifest), id, "lookup");
        _eq(registry.dataset(id).deriveBps, 500, "share");
        _eq(registry.dataset(id).version, 1, "version");
        _eq(registry.packageCount(id, 1), 1, "packages");
        _eq(registry.datasetCount(), 1, "count");
    }

    function test_a_second_registration_of_the_same_manifest_names_the_first() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        uint256 id = _submit(ada, r);
        bytes memory signature = _signRegistry(ada, _hashRegistration(r));
        _refused(
            abi.encodeWithSelector(IDatasetRegistry.RegistryAlreadyRegistered.selector, ada.account, r.manifest, id)
        );
        registry.registerWithSig(r, new bytes[](0), signature);
    }

    function test_mallory_cannot_block_a_manifest_by_registering_it_first() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        IDatasetRegistry.Registration memory stolen = r;
        stolen.owner = mallory.account;
        _submit(mallory, stolen);
        r.owner = ada.account;
        _eq(registry.ownerOf(_submit(ada, r)), ada.account, "owner");
    }

    function test_a_registration_signed_by_somebody_else_is_refused() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        bytes memory signature = _signRegistry(mallory, _hashRegistration(r));
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ada.account));
        registry.registerWithSig(r, new bytes[](0), signature);
    }

    function test_a_registration_signed_for_another_contract_or_chain_is_refused() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        DatasetRegistry other = _deployRegistry();
        bytes memory signature = _signRegistry(ada, _hashRegistration(r));
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ada.account));
        other.registerWithSig(r, new bytes[](0), signature);
        vm.chainId(block.chainid + 1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ada.account));
        registry.registerWithSig(r, new bytes[](0), signature);
    }

    function test_a_registration_is_refused_after_its_deadline() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        bytes memory signature = _signRegistry(ada, _hashRegistration(r));
        vm.warp(r.deadline + 1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryExpired.selector, r.deadline, r.deadline + 1));
        registry.registerWithSig(r, new bytes[](0), signature);
    }

    function test_nobody_registers_in_the_name_of_another_without_a_signature() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryNotOwner.selector, 0, ada.account, mallory.account));
        vm.prank(mallory.account);
        registry.register(r, new bytes[](0));
    }

    function test_empty_digests_unknown_kinds_and_shares_over_100_percent_are_refused() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 10_001);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryShareTooHigh.selector, 10_001, 10_000));
        _submit(ada, r);
        r.deriveBps = 0;
        r.packageKind = 2;
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryUnknownKind.selector, 2));
        _submit(ada, r);
        r.packageKind = 1;
        r.package = 0;
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryZeroDigest.selector));
        _submit(ada, r);
    }

    function test_an_open_parent_needs_no_license() public {
        IDatasetRegistry.Registration memory r = _registration(ada, 500);
        r.openDerive = true;
        uint256 parent = _submit(ada, r);
        uint256 child = _registerChild(ben, 0, _ids(parent));
        _eq(registry.dataset(child).stackBps, 500, "stack");
        _eq(registry.dataset(child).ancestors, 1, "ancestors");
    }

    function test_a_closed_parent_of_another_owner_needs_a_license() public {
        uint256 parent = _register(ada, 500);
        IDatasetRegistry.Registration memory r = _registration(ben, 0);
        r.parents = _ids(parent);
        r.parentLicenses = new uint256[](1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryLicenseRequired.selector, parent));
        _submit(ben, r);
    }

    function test_ben_derives_under_a_license_whose_licensee_signs_for_him() public {
        uint256 parent = _register(ada, 500);
        (uint64 license,) = _buyFor(parent, ada, treasury, cleo);
        (IDatasetRegistry.Registration memory r, bytes[] memory derivations) = _derived(parent, license, cleo);
        vm.prank(ben.account);
        uint256 child = registry.register(r, derivations);
        _eq(registry.dataset(child).stackBps, 500, "stack");
    }

    function test_the_derivation_must_be_signed_by_the_licensee_for_this_manifest() public {
        uint256 parent = _register(ada, 500);
        (uint64 license,) = _buyFor(parent, ada, treasury, cleo);
        (IDatasetRegistry.Registration memory r, bytes[] memory derivations) = _derived(parent, license, mallory);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, cleo.account));
        vm.prank(ben.account);
        registry.register(r, derivations);
        (r, derivations) = _derived(parent, license, cleo);
        r.manifest = keccak256("another manifest");
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, cleo.account));
        vm.prank(ben.account);
        registry.register(r, derivations);
    }

    function test_a_license_of_another_dataset_an_ended_or_a_lesser_one_does_not_permit_to_derive() public {
        uint256 parent = _register(ada, 500);
        uint256 other = _register(ada, 500);
        (uint64 license, ILicenses.Order memory order) = _buyFor(parent, ada, treasury, ben);
        IDatasetRegistry.Registration memory r = _registration(ben, 0);
        r.parents = _ids(other);
        r.parentLicenses = _ids(license);
        _refused(
            abi.encodeWithSelector(
                IDatasetRegistry.RegistryLicenseOfOtherDataset.selector, uint256(license), parent, other
            )
        );
        _submit(ben, r);
        r.parents = _ids(parent);
        vm.prank(ada.account);
        market.refund(treasury.account, order.order);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryLicenseDoesNotPermit.selector, uint256(license)));
        _submit(ben, r);
        ILicenses.Offer memory lesser = _offer(parent);
        lesser.uses = 1;
        order = _order(treasury, ben);
        license = _buy(ada, lesser, order, treasury);
        r.parentLicenses = _ids(license);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryLicenseDoesNotPermit.selector, uint256(license)));
        _submit(ben, r);
    }

    function test_an_unknown_license_or_source_is_refused() public {
        uint256 parent = _register(ada, 500);
        IDatasetRegistry.Registration memory r = _registration(ben, 0);
        r.parents = _ids(parent);
        r.parentLicenses = _ids(77);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryLicenseOfOtherDataset.selector, 77, 0, parent));
        _submit(ben, r);
        r.parentLicenses = _ids((uint256(1) << 64) | 1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryUnknownLicenseSource.selector, 1, 1));
        _submit(ben, r);
    }

    function test_a_second_market_is_one_more_source_beside_the_first() public {
        uint256 parent = _register(ada, 500);
        market = _deployMarket(_config());
        _give(STEWARD, address(market), market.allowToken.selector, address(this));
        _allow(address(usd));
        _eq(registry.addLicenseSource(address(market)), 1, "source");
        (uint64 license,) = _buyFor(parent, ada, treasury, ben);
        IDatasetRegistry.Registration memory r = _registration(ben, 0);
        r.parents = _ids(parent);
        r.parentLicenses = _ids((uint256(1) << 64) | license);
        _submit(ben, r);
    }

    function test_itself_an_unknown_and_a_repeated_parent_are_refused() public {
        uint256 parent = _register(ada, 500);
        IDatasetRegistry.Registration memory r = _registration(ada, 0);
        r.parents = _ids(parent + 1); // the id that this registration would get
        r.parentLicenses = new uint256[](1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryUnknownDataset.selector, parent + 1));
        _submit(ada, r);
        r.parents = _ids(parent, parent);
        r.parentLicenses = new uint256[](2);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryParentsNotAscending.selector, parent, parent));
        _submit(ada, r);
    }

    function test_seventeen_parents_are_refused_and_sixteen_are_not() public {
        uint256[] memory parents = new uint256[](17);
        for (uint256 i = 0; i < 17; ++i) {
            parents[i] = _register(ada, 10);
        }
        IDatasetRegistry.Registration memory r = _registration(ada, 0);
        r.parents = parents;
        r.parentLicenses = new uint256[](17);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryTooManyParents.selector, 17, 16));
        _submit(ada, r);
        assembly {
            mstore(parents, 16)
        }
        uint256 child = _registerChild(ada, 0, parents);
        _eq(registry.dataset(child).stackBps, 160, "stack");
        _eq(registry.dataset(child).ancestors, 16, "ancestors");
    }

    function test_ten_hops_of_ten_percent_pass_and_the_eleventh_is_refused() public {
        uint256 id = _register(ada, 1000);
        for (uint256 hop = 1; hop <= 10; ++hop) {
            id = _registerChild(ada, 1000, _ids(id));
            _eq(registry.dataset(id).stackBps, hop * 1000, "stack");
        }
        IDatasetRegistry.Registration memory r = _registration(ada, 1000);
        r.parents = _ids(id);
        r.parentLicenses = new uint256[](1);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryStackTooHigh.selector, 11_000, 10_000));
        _submit(ada, r);
    }

    function test_a_stack_of_130_percent_is_refused() public {
        uint256 a = _register(ada, 7000);
        uint256 b = _register(ada, 6000);
        IDatasetRegistry.Registration memory r = _registration(ada, 0);
        r.parents = _ids(a, b);
        r.parentLicenses = new uint256[](2);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryStackTooHigh.selector, 13_000, 10_000));
        _submit(ada, r);
    }

    function test_a_diamond_of_diamonds_is_refused_beyond_1024_ancestors() public {
        uint256 a = _register(ada, 0);
        uint256 b = _register(ada, 0);
        // The bound doubles and adds two at each level: 2, 6, 14, ... 1022; the next would be 2046.
        for (uint256 bound = 2; bound <= 1022; bound = 2 * bound + 2) {
            (a, b) = (_registerChild(ada, 0, _ids(a, b)), _registerChild(ada, 0, _ids(a, b)));
            _eq(registry.dataset(a).ancestors, bound, "ancestors");
        }
        IDatasetRegistry.Registration memory r = _registration(ada, 0);
        r.parents = _ids(a, b);
        r.parentLicenses = new uint256[](2);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryTooManyAncestors.selector, 2046, 1024));
        _submit(ada, r);
    }

    function test_a_changed_share_binds_later_children_only() public {
        uint256 parent = _register(ada, 500);
        uint256 early = _registerChild(ada, 0, _ids(parent));
        vm.prank(ada.account);
        registry.setDeriveTerms(parent, 900, true);
        uint256 late = _registerChild(ben, 0, _ids(parent));
        _eq(registry.dataset(early).stackBps, 500, "early");
        _eq(registry.dataset(late).stackBps, 900, "late");
    }

    function test_a_stack_of_exactly_what_was_agreed_is_registered_and_one_above_is_refused() public {
        uint256 grandparent = _register(ada, 300);
        uint256 parent = _registerChild(ada, 500, _ids(grandparent));
        IDatasetRegistry.Registration memory r = _registration(ada, 0);
        r.parents = _ids(parent);
        r.parentLicenses = new uint256[](1);
        r.maxStackBps = 799;
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryStackAboveAgreed.selector, 800, 799));
        _submit(ada, r);
        r.maxStackBps = 800;
        _eq(registry.dataset(_submit(ada, r)).stackBps, 800, "stack");
    }

    function test_a_parent_that_raises_its_share_first_binds_nobody_to_it() public {
        IDatasetRegistry.Registration memory opened = _registration(mallory, 500);
        opened.openDerive = true;
        uint256 parent = _submit(mallory, opened);
        IDatasetRegistry.Registration memory r = _registration(ben, 0);
        r.parents = _ids(parent);
        r.parentLicenses = new uint256[](1);
        r.maxStackBps = 500;
        bytes memory signature = _signRegistry(ben, _hashRegistration(r));
        vm.prank(mallory.account);
        registry.setDeriveTerms(parent, 9000, true);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryStackAboveAgreed.selector, 9000, 500));
        registry.registerWithSig(r, new bytes[](0), signature);
        // Nobody raises the bound in the name of the owner either.
        r.maxStackBps = 9000;
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ben.account));
        registry.registerWithSig(r, new bytes[](0), signature);
        // What was signed still holds when the share is as it was, or lower.
        r.maxStackBps = 500;
        vm.prank(mallory.account);
        registry.setDeriveTerms(parent, 400, true);
        uint256 child = registry.registerWithSig(r, new bytes[](0), signature);
        _eq(registry.dataset(child).stackBps, 400, "stack");
    }

    function test_a_version_is_published_once_and_in_order() public {
        uint256 id = _register(ada, 0);
        bytes32 message = keccak256(
            abi.encode(
                keccak256(
                    "Version(uint256 dataset,uint32 expectedVersion,bytes32 manifest,bytes32 package,uint8 packageKind,uint256 deadline)"
                ),
                id,
                1,
                keccak256("m2"),
                keccak256("p2"),
                1,
                block.timestamp
            )
        );
        bytes memory signature = _signRegistry(ada, message);
        registry.publishVersionWithSig(id, 1, keccak256("m2"), keccak256("p2"), 1, block.timestamp, signature);
        _eq(registry.dataset(id).version, 2, "version");
        _eq(registry.packageCount(id, 2), 1, "packages");
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryVersionConflict.selector, id, 2, 1));
        registry.publishVersionWithSig(id, 1, keccak256("m2"), keccak256("p2"), 1, block.timestamp, signature);
        // Mallory owns a dataset of her own: Ada's signature is no use for it.
        uint256 other = _register(mallory, 0);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, mallory.account));
        registry.publishVersionWithSig(other, 1, keccak256("m2"), keccak256("p2"), 1, block.timestamp, signature);
    }

    function test_packages_are_numbered_from_two_within_an_existing_version() public {
        uint256 id = _register(ada, 0);
        bytes32 message = keccak256(
            abi.encode(
                keccak256(
                    "Package(uint256 dataset,uint32 version,uint32 number,bytes32 package,uint8 kind,uint256 deadline)"
                ),
                id,
                1,
                2,
                keccak256("again"),
                0,
                block.timestamp
            )
        );
        bytes memory signature = _signRegistry(ada, message);
        registry.makePackageWithSig(id, 1, 2, keccak256("again"), 0, block.timestamp, signature);
        _eq(registry.packageCount(id, 1), 2, "packages");
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryPackageConflict.selector, id, 1, 3, 2));
        registry.makePackageWithSig(id, 1, 2, keccak256("again"), 0, block.timestamp, signature);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryVersionConflict.selector, id, 1, 2));
        vm.prank(ada.account);
        registry.makePackage(id, 2, 1, keccak256("later"), 1);
    }

    function test_a_signed_setting_cannot_be_replayed_over_a_newer_one() public {
        uint256 id = _register(ada, 100);
        bytes32 message = keccak256(
            abi.encode(
                keccak256(
                    "DeriveTerms(uint256 dataset,uint16 deriveBps,bool openDerive,uint256 nonce,uint256 deadline)"
                ),
                id,
                300,
                false,
                0,
                block.timestamp
            )
        );
        bytes memory signature = _signRegistry(ada, message);
        registry.setDeriveTermsWithSig(id, 300, false, block.timestamp, signature);
        _eq(registry.dataset(id).deriveBps, 300, "share");
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ada.account));
        registry.setDeriveTermsWithSig(id, 300, false, block.timestamp, signature);
    }

    function test_splits_are_set_by_the_owner_alone() public {
        uint256 id = _register(ada, 100);
        bytes32 message = keccak256(
            abi.encode(
                keccak256("Splits(uint256 dataset,bytes32 splits,uint256 nonce,uint256 deadline)"),
                id,
                keccak256("splits"),
                0,
                block.timestamp
            )
        );
        bytes memory signature = _signRegistry(ada, message);
        vm.expectEmit(address(registry));
        emit IDatasetRegistry.SplitsSet(id, keccak256("splits"));
        registry.setSplitsWithSig(id, keccak256("splits"), block.timestamp, signature);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryNotOwner.selector, id, ada.account, mallory.account));
        vm.prank(mallory.account);
        registry.setSplits(id, keccak256("mine"));
    }

    function test_a_hand_over_moves_the_dataset_once() public {
        uint256 id = _register(ada, 100);
        bytes32 message = keccak256(
            abi.encode(
                keccak256("HandOver(uint256 dataset,address to,uint256 nonce,uint256 deadline)"),
                id,
                ben.account,
                0,
                block.timestamp
            )
        );
        bytes memory signature = _signRegistry(ada, message);
        registry.handOverWithSig(id, ben.account, block.timestamp, signature);
        _eq(registry.ownerOf(id), ben.account, "owner");
        _eq(registry.balanceOf(ada.account), 0, "ada");
        _eq(registry.balanceOf(ben.account), 1, "ben");
        vm.prank(ben.account);
        registry.transferFrom(ben.account, ada.account, id);
        _refused(abi.encodeWithSelector(IDatasetRegistry.RegistryBadSignature.selector, ada.account));
        registry.handOverWithSig(id, ben.account, block.timestamp, signature);
    }

    function test_erc721_transfers_need_the_owner_or_its_approval_and_clear_it() public {
        uint256 id = _register(ada, 100);
        _refused(abi.encodeWithSelector(IERC721Errors.ERC721InsufficientApproval.selector, mallory.account, id));
        vm.prank(mallory.account);
        registry.transferFrom(ada.account, mallory.account, id);
        vm.prank(ada.account);
        registry.approve(ben.account, id);
        vm.prank(ben.account);
        registry.transferFrom(ada.account, ben.account, id);
        _eq(registry.getApproved(id), address(0), "approval");
        _refused(abi.encodeWithSelector(IERC721Errors.ERC721InvalidReceiver.selector, address(0)));
        vm.prank(ben.account);
        registry.transferFrom(ben.account, address(0), id);
        _refused(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 99));
        registry.ownerOf(99);
        _refused(abi.encodeWithSelector(IERC721Errors.ERC721NonexistentToken.selector, 99));
        registry.transferFrom(ben.account, ada.account, 99);
    }

    function test_records_survive_a_change_of_owner() public {
        uint256 id = _registerChild(ada, 321, _ids(_register(ada, 123)));
        vm.prank(ada.account);
        registry.transferFrom(ada.account, ben.account, id);
        _eq(registry.dataset(id).deriveBps, 321, "share");
        _eq(registry.dataset(id).stackBps, 123, "stack");
        _eq(registry.dataset(id).ancestors, 1, "ancestors");
        _eq(registry.dataset(id).version, 1, "version");
    }

    function test_it_says_which_standards_it_keeps() public {
        _register(ada, 250);
        _true(registry.supportsInterface(0x80ac58cd), "ERC-721");
        _true(registry.supportsInterface(0x5b5e139f), "ERC-721 metadata");
        _true(registry.supportsInterface(0x2a55205a), "ERC-2981");
        _true(!registry.supportsInterface(0xffffffff), "nothing else");
        (address receiver, uint256 royalty) = registry.royaltyInfo(1, 1000);
        _eq(receiver, ada.account, "receiver");
        _eq(royalty, 25, "royalty");
        _eq(keccak256(bytes(registry.tokenURI(1))), keccak256("https://cadastre.example/d/1"), "URI");
    }

    function test_only_roles_change_sources_and_addresses() public {
        vm.expectPartialRevert(bytes4(keccak256("AccessManagedUnauthorized(address)")));
        vm.prank(mallory.account);
        registry.addLicenseSource(mallory.account);
        vm.expectPartialRevert(bytes4(keccak256("AccessManagedUnauthorized(address)")));
        vm.prank(mallory.account);
        registry.setBaseURI("https://mallory.example/");
    }

    function testFuzz_bounds_are_the_sums_over_the_parents(uint16 first, uint16 second, uint16 own) public {
        uint16 a = uint16(_bound(first, 0, 4000));
        uint16 b = uint16(_bound(second, 0, 2000));
        uint256 p = _register(ada, a);
        uint256 q = _registerChild(ada, b, _ids(p));
        uint256 child = _registerChild(ada, uint16(_bound(own, 0, 10_000)), _ids(p, q));
        _eq(registry.dataset(child).stackBps, uint256(a) + b + a, "stack");
        _eq(registry.dataset(child).ancestors, 3, "ancestors");
    }

    function _derived(uint256 parent, uint64 license, Person memory signer)
        private
        returns (IDatasetRegistry.Registration memory r, bytes[] memory derivations)
    {
        r = _registration(ben, 0);
        r.parents = _ids(parent);
        r.parentLicenses = _ids(license);
        derivations = new bytes[](1);
        derivations[0] =
            _signRegistry(signer, keccak256(abi.encode(DERIVATION, uint256(license), ben.account, r.manifest)));
    }
}
