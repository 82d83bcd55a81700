// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Disputes: a resolver stops a dataset's income or names who receives it, each time naming the dispute.
interface IDisputes {
    /// @notice Revenue of the dataset enters no settlement, and no license of it is sold, until it is unfrozen.
    event DatasetFrozen(uint256 indexed dataset, bytes32 indexed dispute);
    event DatasetUnfrozen(uint256 indexed dataset, bytes32 indexed dispute);

    /// @notice Income of the dataset settled from now on goes to `payee` instead of its splits; 0 restores them.
    event BeneficiarySet(uint256 indexed dataset, uint256 indexed payee, bytes32 indexed dispute);

    error DisputesUnnamed();
    error DisputesAlreadyFrozen(uint256 dataset);
    error DisputesNotFrozen(uint256 dataset);

    function freeze(uint256 dataset, bytes32 dispute) external;

    function unfreeze(uint256 dataset, bytes32 dispute) external;

    function setBeneficiary(uint256 dataset, uint32 payee, bytes32 dispute) external;

    function isFrozen(uint256 dataset) external view returns (bool);

    /// @notice Payee named by a resolver, 0 if the dataset's splits apply.
    function beneficiaryOf(uint256 dataset) external view returns (uint32);
}
