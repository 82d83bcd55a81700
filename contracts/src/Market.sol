// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "./interfaces/IMarket.sol";
import {FeeHistory} from "./lib/FeeHistory.sol";
import {Licenses} from "./market/Licenses.sol";
import {Payouts} from "./market/Payouts.sol";
import {State} from "./market/State.sol";

/// @title The market: one address where all money lives.
/// @notice The paths that move money often are here; everything else is in MarketExtension, whose address is fixed in
/// this code: there is no proxy that anyone could point elsewhere, and no pause. A new market is deployed beside this one,
/// which stays honored.
contract Market is Licenses, Payouts {
    address private immutable EXTENSION;

    /// @param extension MarketExtension built with the same configuration.
    constructor(IMarket.Config memory c, address extension, string memory uri) State(c) {
        if (IMarket(extension).configDigest() != keccak256(abi.encode(c))) revert IMarket.MarketBadConfig();
        EXTENSION = extension;
        _counters.fees = FeeHistory.withCurrent(0, c.feeBps);
        _uri = uri;
    }

    /// @dev Hands every other function to the extension, which runs on this contract's storage and balance.
    fallback() external {
        address extension = EXTENSION;
        assembly {
            calldatacopy(0, 0, calldatasize())
            let ok := delegatecall(gas(), extension, 0, calldatasize(), 0, 0)
            returndatacopy(0, 0, returndatasize())
            if iszero(ok) { revert(0, returndatasize()) }
            return(0, returndatasize())
        }
    }
}
