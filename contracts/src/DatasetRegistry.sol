// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";
import {IERC2981} from "@openzeppelin/contracts/interfaces/IERC2981.sol";
import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IDatasetRegistry} from "./interfaces/IDatasetRegistry.sol";
import {ILicenses} from "./interfaces/ILicenses.sol";
import {Signatures} from "./lib/Signatures.sol";

/// @title Register of datasets.
/// @notice See IDatasetRegistry. Parents are fixed at registration; the share owed on each edge is the parent's own at
/// that moment. Two stored upper bounds keep every lineage payable without walking it.
contract DatasetRegistry is IDatasetRegistry, ERC721, EIP712, AccessManaged, IERC2981 {
    /// @dev Owner and record share one slot: a registration writes it once.
    struct Entry {
        address owner;
        uint16 version;
        uint24 nonce;
        uint16 deriveBps;
        uint16 stackBps;
        uint16 ancestors;
        bool openDerive;
    }

    uint256 public constant MAX_PARENTS = 16;
    uint256 public constant MAX_STACK_BPS = 10_000;
    uint256 public constant MAX_ANCESTORS = 1024;

    bytes32 private constant REGISTRATION_TYPEHASH = keccak256(
        "Registration(address owner,bytes32 manifest,bytes32 package,uint8 packageKind,bool openDerive,uint16 deriveBps,bytes32 splits,uint256[] parents,uint256[] parentLicenses,uint16 maxStackBps,uint256 deadline)"
    );
    bytes32 private constant DERIVATION_TYPEHASH =
        keccak256("Derivation(uint256 license,address owner,bytes32 manifest)");
    bytes32 private constant VERSION_TYPEHASH = keccak256(
        "Version(uint256 dataset,uint32 expectedVersion,bytes32 manifest,bytes32 package,uint8 packageKind,uint256 deadline)"
    );
    bytes32 private constant PACKAGE_TYPEHASH =
        keccak256("Package(uint256 dataset,uint32 version,uint32 number,bytes32 package,uint8 kind,uint256 deadline)");
    bytes32 private constant DERIVE_TERMS_TYPEHASH =
        keccak256("DeriveTerms(uint256 dataset,uint16 deriveBps,bool openDerive,uint256 nonce,uint256 deadline)");
    bytes32 private constant SPLITS_TYPEHASH =
        keccak256("Splits(uint256 dataset,bytes32 splits,uint256 nonce,uint256 deadline)");
    bytes32 private constant HAND_OVER_TYPEHASH =
        keccak256("HandOver(uint256 dataset,address to,uint256 nonce,uint256 deadline)");

    uint16 private constant USE_DERIVE = 16;
    uint8 private constant LAST_KIND = 1;

    uint256 public datasetCount;

    mapping(uint256 id => Entry) private _entries;
    mapping(address owner => uint256) private _balances;
    mapping(bytes32 ownerAndManifest => uint256) private _ids;
    mapping(uint256 id => mapping(uint256 version => uint256)) private _furtherPackages;
    mapping(uint256 source => address) private _sources;
    uint64 private _sourceCount;
    string private _base;

    constructor(address authority, string memory baseURI)
        ERC721("Cadastre Dataset", "CADASTRE")
        EIP712("Cadastre Registry", "1")
        AccessManaged(authority)
    {
        _base = baseURI;
    }

    /// @inheritdoc IDatasetRegistry
    function register(Registration calldata registration, bytes[] calldata derivations) external returns (uint256 id) {
        if (msg.sender != registration.owner) revert RegistryNotOwner(0, registration.owner, msg.sender);
        return _register(registration, derivations);
    }

    /// @inheritdoc IDatasetRegistry
    function registerWithSig(Registration calldata registration, bytes[] calldata derivations, bytes calldata signature)
        external
        returns (uint256 id)
    {
        _checkSignature(registration.owner, _hashRegistration(registration), signature);
        return _register(registration, derivations);
    }

    /// @inheritdoc IDatasetRegistry
    function publishVersion(uint256 id, uint32 expectedVersion, bytes32 manifest, bytes32 package, uint8 packageKind)
        external
    {
        _checkOwner(id);
        _publish(id, expectedVersion, manifest, package, packageKind);
    }

    /// @inheritdoc IDatasetRegistry
    function publishVersionWithSig(
        uint256 id,
        uint32 expectedVersion,
        bytes32 manifest,
        bytes32 package,
        uint8 packageKind,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 message = keccak256(
            abi.encode(VERSION_TYPEHASH, id, expectedVersion, manifest, package, packageKind, deadline)
        );
        _checkConsent(id, message, deadline, signature);
        _publish(id, expectedVersion, manifest, package, packageKind);
    }

    /// @inheritdoc IDatasetRegistry
    function makePackage(uint256 id, uint32 version, uint32 number, bytes32 package, uint8 kind) external {
        _checkOwner(id);
        _makePackage(id, version, number, package, kind);
    }

    /// @inheritdoc IDatasetRegistry
    function makePackageWithSig(
        uint256 id,
        uint32 version,
        uint32 number,
        bytes32 package,
        uint8 kind,
        uint256 deadline,
        bytes calldata signature
    ) external {
        bytes32 message = keccak256(abi.encode(PACKAGE_TYPEHASH, id, version, number, package, kind, deadline));
        _checkConsent(id, message, deadline, signature);
        _makePackage(id, version, number, package, kind);
    }

    /// @inheritdoc IDatasetRegistry
    function setDeriveTerms(uint256 id, uint16 deriveBps, bool openDerive) external {
        _checkOwner(id);
        _setDeriveTerms(id, deriveBps, openDerive);
    }

    /// @inheritdoc IDatasetRegistry
    function setDeriveTermsWithSig(
        uint256 id,
        uint16 deriveBps,
        bool openDerive,
        uint256 deadline,
        bytes calldata signature
    ) external {
        uint256 nonce = _useNonce(id);
        bytes32 message = keccak256(abi.encode(DERIVE_TERMS_TYPEHASH, id, deriveBps, openDerive, nonce, deadline));
        _checkConsent(id, message, deadline, signature);
        _setDeriveTerms(id, deriveBps, openDerive);
    }

    /// @inheritdoc IDatasetRegistry
    function setSplits(uint256 id, bytes32 splits) external {
        _checkOwner(id);
        emit SplitsSet(id, splits);
    }

    /// @inheritdoc IDatasetRegistry
    function setSplitsWithSig(uint256 id, bytes32 splits, uint256 deadline, bytes calldata signature) external {
        uint256 nonce = _useNonce(id);
        _checkConsent(id, keccak256(abi.encode(SPLITS_TYPEHASH, id, splits, nonce, deadline)), deadline, signature);
        emit SplitsSet(id, splits);
    }

    /// @inheritdoc IDatasetRegistry
    function handOverWithSig(uint256 id, address to, uint256 deadline, bytes calldata signature) external {
        uint256 nonce = _useNonce(id);
        _checkConsent(id, keccak256(abi.encode(HAND_OVER_TYPEHASH, id, to, nonce, deadline)), deadline, signature);
        _transfer(_ownerOf(id), to, id);
    }

    /// @inheritdoc IDatasetRegistry
    function addLicenseSource(address market) external restricted returns (uint64 source) {
        source = _sourceCount++;
        _sources[source] = market;
        emit LicenseSourceAdded(source, market);
    }

    /// @inheritdoc IDatasetRegistry
    function setBaseURI(string calldata newBase) external restricted {
        _base = newBase;
    }

    /// @inheritdoc IDatasetRegistry
    function datasetOf(address owner, bytes32 manifest) external view returns (uint256) {
        return _ids[_key(owner, manifest)];
    }

    /// @inheritdoc IDatasetRegistry
    function dataset(uint256 id) external view returns (Dataset memory) {
        Entry memory entry = _entries[id];
        if (entry.owner == address(0)) revert RegistryUnknownDataset(id);
        return Dataset(entry.version, entry.nonce, entry.deriveBps, entry.stackBps, entry.ancestors, entry.openDerive);
    }

    /// @inheritdoc IDatasetRegistry
    function packageCount(uint256 id, uint32 version) public view returns (uint256) {
        if (version == 0 || version > _entries[id].version) return 0;
        return 1 + _furtherPackages[id][version];
    }

    /// @inheritdoc IDatasetRegistry
    function licenseSource(uint256 source) external view returns (address) {
        return _sources[source];
    }

    /// @inheritdoc IERC2981
    /// @dev Advisory: a share as this register records it binds children, not sales of the token.
    function royaltyInfo(uint256 id, uint256 salePrice) external view returns (address receiver, uint256 royalty) {
        Entry memory entry = _entries[id];
        if (entry.owner == address(0)) revert RegistryUnknownDataset(id);
        return (entry.owner, salePrice * entry.deriveBps / MAX_STACK_BPS);
    }

    /// @inheritdoc ERC721
    function balanceOf(address owner) public view override returns (uint256) {
        if (owner == address(0)) revert ERC721InvalidOwner(address(0));
        return _balances[owner];
    }

    /// @inheritdoc ERC721
    function supportsInterface(bytes4 id) public view override(ERC721, IERC165) returns (bool) {
        return id == type(IERC2981).interfaceId || super.supportsInterface(id);
    }

    /// @dev ERC-721's own bookkeeping, with the owner kept in the entry. Minting is done by `_register`.
    function _update(address to, uint256 id, address auth) internal override returns (address from) {
        from = _ownerOf(id);
        if (auth != address(0)) _checkAuthorized(from, auth, id);
        _approve(address(0), id, address(0), false);
        _entries[id].owner = to;
        unchecked {
            _balances[from] -= 1;
            _balances[to] += 1;
        }
        emit Transfer(from, to, id);
    }

    function _register(Registration calldata registration, bytes[] calldata derivations) private returns (uint256 id) {
        address owner = registration.owner;
        if (owner == address(0)) revert ERC721InvalidReceiver(address(0));
        _checkDeadline(registration.deadline);
        _checkContent(registration.manifest, registration.package, registration.packageKind);
        _checkShare(registration.deriveBps);
        bytes32 key = _key(owner, registration.manifest);
        if (_ids[key] != 0) revert RegistryAlreadyRegistered(owner, registration.manifest, _ids[key]);

        (uint16[] memory shares, uint16 stackBps, uint16 ancestors) = _checkParents(registration, derivations);

        id = ++datasetCount;
        _ids[key] = id;
        _entries[id] = Entry(owner, 1, 0, registration.deriveBps, stackBps, ancestors, registration.openDerive);
        unchecked {
            ++_balances[owner];
        }
        emit Transfer(address(0), owner, id);
        emit DatasetRegistered(
            id,
            owner,
            registration.manifest,
            registration.package,
            registration.packageKind,
            registration.deriveBps,
            registration.openDerive,
            registration.splits,
            stackBps,
            ancestors
        );
        for (uint256 i = 0; i < shares.length; ++i) {
            emit ParentLinked(id, registration.parents[i], shares[i], registration.parentLicenses[i]);
        }
    }

    function _publish(uint256 id, uint32 expectedVersion, bytes32 manifest, bytes32 package, uint8 packageKind)
        private
    {
        _checkContent(manifest, package, packageKind);
        uint256 latest = _entries[id].version;
        if (expectedVersion != latest) revert RegistryVersionConflict(id, latest, expectedVersion);
        uint16 version = SafeCast.toUint16(latest + 1);
        _entries[id].version = version;
        emit VersionPublished(id, version, manifest, package, packageKind);
    }

    function _makePackage(uint256 id, uint32 version, uint32 number, bytes32 package, uint8 kind) private {
        _checkContent(package, package, kind);
        uint256 count = packageCount(id, version);
        if (count == 0) revert RegistryVersionConflict(id, _entries[id].version, version);
        if (number != count + 1) revert RegistryPackageConflict(id, version, count + 1, number);
        _furtherPackages[id][version] = count;
        emit PackageMade(id, version, number, package, kind);
    }

    function _setDeriveTerms(uint256 id, uint16 deriveBps, bool openDerive) private {
        _checkShare(deriveBps);
        _entries[id].deriveBps = deriveBps;
        _entries[id].openDerive = openDerive;
        emit DeriveTermsSet(id, deriveBps, openDerive);
    }

    function _useNonce(uint256 id) private returns (uint256 nonce) {
        nonce = _entries[id].nonce;
        _entries[id].nonce = SafeCast.toUint24(nonce + 1);
    }

    /// @dev Adds up what the parents' own lineages may cost at most, and checks the right to derive from each.
    function _checkParents(Registration calldata registration, bytes[] calldata derivations)
        private
        view
        returns (uint16[] memory shares, uint16, uint16)
    {
        uint256 count = registration.parents.length;
        if (count > MAX_PARENTS) revert RegistryTooManyParents(count, MAX_PARENTS);
        if (registration.parentLicenses.length != count) {
            revert RegistryLicenseCount(count, registration.parentLicenses.length);
        }
        if (derivations.length != 0 && derivations.length != count) {
            revert RegistrySignatureCount(count, derivations.length);
        }
        shares = new uint16[](count);
        uint256 stackBps = 0;
        uint256 ancestors = 0;
        uint256 previous = 0;
        for (uint256 i = 0; i < count; ++i) {
            uint256 parent = registration.parents[i];
            if (parent <= previous) revert RegistryParentsNotAscending(parent, previous);
            previous = parent;
            Entry memory entry = _entries[parent];
            if (entry.owner == address(0)) revert RegistryUnknownDataset(parent);
            uint256 licenseRef = registration.parentLicenses[i];
            if (licenseRef != 0) {
                _checkLicense(registration, parent, licenseRef, derivations.length == 0 ? msg.data[:0] : derivations[i]);
            } else if (!entry.openDerive && entry.owner != registration.owner) {
                revert RegistryLicenseRequired(parent);
            }
            shares[i] = entry.deriveBps;
            stackBps += uint256(entry.deriveBps) + entry.stackBps;
            ancestors += 1 + uint256(entry.ancestors);
        }
        if (stackBps > MAX_STACK_BPS) revert RegistryStackTooHigh(stackBps, MAX_STACK_BPS);
        if (stackBps > registration.maxStackBps) revert RegistryStackAboveAgreed(stackBps, registration.maxStackBps);
        if (ancestors > MAX_ANCESTORS) revert RegistryTooManyAncestors(ancestors, MAX_ANCESTORS);
        // Both are below 2^16 by the two limits.
        return (shares, uint16(stackBps), uint16(ancestors));
    }

    function _checkLicense(
        Registration calldata registration,
        uint256 parent,
        uint256 licenseRef,
        bytes calldata derivation
    ) private view {
        address source = _sources[licenseRef >> 64];
        if (source == address(0)) revert RegistryUnknownLicenseSource(licenseRef >> 64, _sourceCount);
        (bool active, address licensee, uint256 licensed) =
            ILicenses(source).entitlement(uint64(licenseRef), USE_DERIVE);
        if (licensed != parent) revert RegistryLicenseOfOtherDataset(licenseRef, licensed, parent);
        if (!active) revert RegistryLicenseDoesNotPermit(licenseRef);
        if (licensee == registration.owner) return;
        _checkSignature(
            licensee,
            keccak256(abi.encode(DERIVATION_TYPEHASH, licenseRef, registration.owner, registration.manifest)),
            derivation
        );
    }

    function _checkOwner(uint256 id) private view {
        address owner = _requireOwned(id);
        if (msg.sender != owner) revert RegistryNotOwner(id, owner, msg.sender);
    }

    function _checkConsent(uint256 id, bytes32 message, uint256 deadline, bytes calldata signature) private view {
        _checkDeadline(deadline);
        _checkSignature(_requireOwned(id), message, signature);
    }

    function _checkSignature(address signer, bytes32 message, bytes calldata signature) private view {
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) revert RegistryBadSignature(signer);
    }

    function _checkDeadline(uint256 deadline) private view {
        if (block.timestamp > deadline) revert RegistryExpired(deadline, block.timestamp);
    }

    /// @inheritdoc ERC721
    function _ownerOf(uint256 id) internal view override returns (address) {
        return _entries[id].owner;
    }

    /// @inheritdoc ERC721
    function _baseURI() internal view override returns (string memory) {
        return _base;
    }

    function _checkContent(bytes32 manifest, bytes32 package, uint8 kind) private pure {
        if (manifest == 0 || package == 0) revert RegistryZeroDigest();
        if (kind > LAST_KIND) revert RegistryUnknownKind(kind);
    }

    function _checkShare(uint256 deriveBps) private pure {
        if (deriveBps > MAX_STACK_BPS) revert RegistryShareTooHigh(deriveBps, MAX_STACK_BPS);
    }

    function _hashRegistration(Registration calldata registration) private pure returns (bytes32) {
        return keccak256(
            abi.encode(
                REGISTRATION_TYPEHASH,
                registration.owner,
                registration.manifest,
                registration.package,
                registration.packageKind,
                registration.openDerive,
                registration.deriveBps,
                registration.splits,
                keccak256(abi.encodePacked(registration.parents)),
                keccak256(abi.encodePacked(registration.parentLicenses)),
                registration.maxStackBps,
                registration.deadline
            )
        );
    }

    function _key(address owner, bytes32 manifest) private pure returns (bytes32) {
        return keccak256(abi.encode(owner, manifest));
    }
}
