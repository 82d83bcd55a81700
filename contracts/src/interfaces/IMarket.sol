// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title The market as a whole: ILicenses, IUsage, IPayouts, IPayees, IDisputes and ITokens, and what is fixed at
/// deployment.
interface IMarket {
    /// @notice Fixed at deployment.
    /// @param registry DatasetRegistry whose datasets are licensed.
    /// @param authority AccessManager that grants the roles.
    /// @param feeBps First market fee in basis points, at most 500.
    /// @param bucketSeconds Length of a bucket of held revenue; one day in production.
    /// @param epochSeconds Length of an epoch.
    /// @param windowSeconds Time for a veto between proposal and acceptance.
    /// @param finalitySeconds Time until a block is final.
    /// @param noticeSeconds Withdrawal notice; must exceed epoch + window + finality.
    /// @param idleSeconds Time without an accepted root after which anyone may propose; 30 days in production.
    /// @param openWindowSeconds Window of a proposal by anyone; must exceed `windowSeconds`.
    /// @param payeeDelaySeconds Public delay of a payee's change of address.
    /// @param bond Base units that anyone's proposal posts.
    struct Config {
        address registry;
        address authority;
        uint16 feeBps;
        uint32 bucketSeconds;
        uint32 epochSeconds;
        uint32 windowSeconds;
        uint32 finalitySeconds;
        uint32 noticeSeconds;
        uint32 idleSeconds;
        uint32 openWindowSeconds;
        uint32 payeeDelaySeconds;
        uint64 bond;
    }

    error MarketBadConfig();

    function config() external view returns (Config memory);

    /// @notice keccak256(abi.encode(config())).
    function configDigest() external view returns (bytes32);
}
