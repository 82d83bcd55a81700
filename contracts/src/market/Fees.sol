// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILicenses} from "../interfaces/ILicenses.sol";
import {IPayees} from "../interfaces/IPayees.sol";
import {FeeHistory} from "../lib/FeeHistory.sol";
import {State} from "./State.sol";

/// @title The market's fee: frozen in each offer, so a change binds later offers only.
abstract contract Fees is State {
    using FeeHistory for uint160;

    uint256 public constant MAX_FEE_BPS = 500;

    /// @notice See ILicenses.
    function setFee(uint16 feeBps) external restricted {
        if (feeBps > MAX_FEE_BPS) revert ILicenses.LicensesFeeTooHigh(feeBps, MAX_FEE_BPS);
        uint160 history = _counters.fees.withCurrent(feeBps);
        if (history == 0) revert ILicenses.LicensesFeeHistoryFull(FeeHistory.MAX_FEES);
        _counters.fees = history;
        emit ILicenses.FeeSet(feeBps);
    }

    /// @notice See IPayees.
    function setFeePayee(uint32 id) external restricted {
        if (_payees[id].account == address(0)) revert IPayees.PayeesUnknown(id);
        _payeeCounters.feePayee = id;
        emit IPayees.FeePayeeSet(id);
    }

    /// @notice See ILicenses.
    function fee() public view returns (uint16) {
        return _counters.fees.current();
    }

    /// @notice See ILicenses.
    function feeWasInForce(uint16 feeBps) external view returns (bool) {
        return _counters.fees.contains(feeBps);
    }

    /// @notice See IPayees.
    function feePayee() external view returns (uint32) {
        return _payeeCounters.feePayee;
    }
}
