// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IDisputes} from "../interfaces/IDisputes.sol";
import {Payees} from "./Payees.sol";

/// @title Disputes: what a resolver may do to a dataset's income. It can neither take money out nor touch licenses.
abstract contract Disputes is Payees {
    /// @notice See IDisputes.
    function freeze(uint256 dataset, bytes32 dispute) external restricted {
        _checkNamed(dataset, dispute);
        if (_measures[dataset].frozen) revert IDisputes.DisputesAlreadyFrozen(dataset);
        _measures[dataset].frozen = true;
        emit IDisputes.DatasetFrozen(dataset, dispute);
    }

    /// @notice See IDisputes.
    function unfreeze(uint256 dataset, bytes32 dispute) external restricted {
        _checkNamed(dataset, dispute);
        if (!_measures[dataset].frozen) revert IDisputes.DisputesNotFrozen(dataset);
        _measures[dataset].frozen = false;
        emit IDisputes.DatasetUnfrozen(dataset, dispute);
    }

    /// @notice See IDisputes.
    function setBeneficiary(uint256 dataset, uint32 beneficiary, bytes32 dispute) external restricted {
        _checkNamed(dataset, dispute);
        if (beneficiary != 0) _known(beneficiary);
        _measures[dataset].beneficiary = beneficiary;
        emit IDisputes.BeneficiarySet(dataset, beneficiary, dispute);
    }

    /// @notice See IDisputes.
    function beneficiaryOf(uint256 dataset) external view returns (uint32) {
        return _measures[dataset].beneficiary;
    }

    /// @notice See IDisputes.
    function isFrozen(uint256 dataset) public view returns (bool) {
        return _measures[dataset].frozen;
    }

    function _checkNamed(uint256 dataset, bytes32 dispute) private view {
        if (dispute == 0) revert IDisputes.DisputesUnnamed();
        REGISTRY.ownerOf(dataset); // reverts for a dataset that does not exist
    }
}
