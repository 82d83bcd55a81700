// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Register of datasets: identity, owner, versions, packages, parents.
/// @notice A dataset is an ERC-721 token. Its parents never change; versions and packages are added by its owner.
/// @dev Every `bytes32` document digest is the SHA-256 of a JCS document, so that it leads to an IPFS raw CID.
interface IDatasetRegistry {
    /// @notice What an owner signs to register a dataset.
    /// @param owner Account that will own the dataset; the manifest names the same account.
    /// @param manifest SHA-256 of the public manifest of version 1.
    /// @param package SHA-256 of the document of package 1 of version 1.
    /// @param packageKind 0 open, 1 sealed.
    /// @param openDerive True if anyone may derive without a license.
    /// @param deriveBps Basis points of what children earn that are owed to this dataset.
    /// @param splits SHA-256 of the splits document, or 0 when the owner takes all.
    /// @param parents Dataset ids, strictly ascending, at most 16.
    /// @param parentLicenses For each parent: `(source << 64) | license`, or 0 if the parent is open or has the same owner.
    /// @param maxStackBps Most that this dataset may owe to all its ancestors (`stackBps`, basis points): a parent whose
    /// share rises between signature and registration does not bind the child to it.
    /// @param deadline Last second (Unix time) at which the registration may be submitted.
    struct Registration {
        address owner;
        bytes32 manifest;
        bytes32 package;
        uint8 packageKind;
        bool openDerive;
        uint16 deriveBps;
        bytes32 splits;
        uint256[] parents;
        uint256[] parentLicenses;
        uint16 maxStackBps;
        uint256 deadline;
    }

    /// @notice What a contract needs to know about a dataset; everything else is in the events.
    /// @param version Latest version; versions count from 1.
    /// @param nonce Number of owner signatures consumed by setters and hand-overs.
    /// @param deriveBps Share that a child registered now would owe.
    /// @param stackBps Upper bound of what this dataset owes to all its ancestors, in basis points.
    /// @param ancestors Upper bound of the number of its ancestors.
    /// @param openDerive True if anyone may derive without a license.
    struct Dataset {
        uint16 version;
        uint24 nonce;
        uint16 deriveBps;
        uint16 stackBps;
        uint16 ancestors;
        bool openDerive;
    }

    /// @notice A dataset came to be; one `ParentLinked` follows for each parent.
    event DatasetRegistered(
        uint256 indexed dataset,
        address indexed owner,
        bytes32 indexed manifest,
        bytes32 package,
        uint8 packageKind,
        uint16 deriveBps,
        bool openDerive,
        bytes32 splits,
        uint16 stackBps,
        uint16 ancestors
    );

    /// @notice `dataset` was built from `parent` and owes it `shareBps` of what it earns, for ever.
    /// @param licenseRef License under which it was derived, or 0 where none was needed.
    event ParentLinked(uint256 indexed dataset, uint256 indexed parent, uint16 shareBps, uint256 licenseRef);

    event VersionPublished(
        uint256 indexed dataset, uint32 indexed version, bytes32 indexed manifest, bytes32 package, uint8 packageKind
    );

    event PackageMade(
        uint256 indexed dataset, uint32 indexed version, uint32 indexed number, bytes32 package, uint8 kind
    );

    /// @notice Terms for children registered from now on.
    event DeriveTermsSet(uint256 indexed dataset, uint16 deriveBps, bool openDerive);

    /// @notice Splits for income settled from now on.
    event SplitsSet(uint256 indexed dataset, bytes32 indexed splits);

    /// @notice Licenses of the market `market` are accepted as `(source << 64) | license` from now on.
    event LicenseSourceAdded(uint64 indexed source, address indexed market);

    error RegistryNotOwner(uint256 dataset, address owner, address caller);
    error RegistryBadSignature(address expectedSigner);
    error RegistryExpired(uint256 deadline, uint256 nowAt);
    error RegistryZeroDigest();
    error RegistryUnknownKind(uint8 kind);
    error RegistryShareTooHigh(uint256 deriveBps, uint256 limit);
    error RegistryAlreadyRegistered(address owner, bytes32 manifest, uint256 dataset);
    error RegistryTooManyParents(uint256 count, uint256 limit);
    error RegistryLicenseCount(uint256 parents, uint256 licenses);
    error RegistrySignatureCount(uint256 parents, uint256 signatures);
    error RegistryParentsNotAscending(uint256 parent, uint256 previous);
    error RegistryUnknownDataset(uint256 dataset);
    /// @notice The parent is not open, its owner is another account, and no license was given.
    error RegistryLicenseRequired(uint256 parent);
    error RegistryUnknownLicenseSource(uint256 source, uint256 count);
    error RegistryLicenseOfOtherDataset(uint256 licenseRef, uint256 dataset, uint256 parent);
    /// @notice The license is not active, or does not permit to derive.
    error RegistryLicenseDoesNotPermit(uint256 licenseRef);
    /// @notice The upper bound counts shared ancestors once per path; it may refuse early.
    error RegistryStackTooHigh(uint256 stackBps, uint256 limit);
    /// @notice The parents ask for more than the owner agreed to.
    error RegistryStackAboveAgreed(uint256 stackBps, uint256 maxStackBps);
    /// @notice The upper bound counts shared ancestors once per path; it may refuse early.
    error RegistryTooManyAncestors(uint256 ancestors, uint256 limit);
    error RegistryVersionConflict(uint256 dataset, uint256 latest, uint256 expected);
    error RegistryPackageConflict(uint256 dataset, uint256 version, uint256 next, uint256 given);

    /// @notice Registers a dataset whose owner sends the transaction.
    /// @param derivations For each parent: the licensee's EIP-712 `Derivation` signature, empty where no license is
    /// given or the licensee is the owner.
    /// @return id Dense, from 1.
    function register(Registration calldata registration, bytes[] calldata derivations) external returns (uint256 id);

    /// @notice Registers a dataset whose owner signed; anyone may pay the gas.
    function registerWithSig(Registration calldata registration, bytes[] calldata derivations, bytes calldata signature)
        external
        returns (uint256 id);

    /// @notice Publishes version `expectedVersion + 1`.
    function publishVersion(uint256 id, uint32 expectedVersion, bytes32 manifest, bytes32 package, uint8 packageKind)
        external;

    function publishVersionWithSig(
        uint256 id,
        uint32 expectedVersion,
        bytes32 manifest,
        bytes32 package,
        uint8 packageKind,
        uint256 deadline,
        bytes calldata signature
    ) external;

    /// @notice Records another package of a version; package 1 came with the version, so the first `number` is 2.
    function makePackage(uint256 id, uint32 version, uint32 number, bytes32 package, uint8 kind) external;

    function makePackageWithSig(
        uint256 id,
        uint32 version,
        uint32 number,
        bytes32 package,
        uint8 kind,
        uint256 deadline,
        bytes calldata signature
    ) external;

    function setDeriveTerms(uint256 id, uint16 deriveBps, bool openDerive) external;

    function setDeriveTermsWithSig(
        uint256 id,
        uint16 deriveBps,
        bool openDerive,
        uint256 deadline,
        bytes calldata signature
    ) external;

    function setSplits(uint256 id, bytes32 splits) external;

    function setSplitsWithSig(uint256 id, bytes32 splits, uint256 deadline, bytes calldata signature) external;

    /// @notice Transfers a dataset that its owner signed away; anyone may pay the gas.
    function handOverWithSig(uint256 id, address to, uint256 deadline, bytes calldata signature) external;

    /// @notice Accepts licenses of a further market. Sources are only ever added.
    function addLicenseSource(address market) external returns (uint64 source);

    function setBaseURI(string calldata uri) external;

    function datasetCount() external view returns (uint256);

    /// @notice Id that `owner` registered `manifest` under, or 0.
    function datasetOf(address owner, bytes32 manifest) external view returns (uint256);

    function dataset(uint256 id) external view returns (Dataset memory);

    /// @notice Number of packages of a version; 0 if the version does not exist.
    function packageCount(uint256 id, uint32 version) external view returns (uint256);

    function licenseSource(uint256 source) external view returns (address);
}
