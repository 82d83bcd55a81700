// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "./interfaces/IMarket.sol";
import {FeeHistory} from "./lib/FeeHistory.sol";
import {Licenses} from "./market/Licenses.sol";
import {Payouts} from "./market/Payouts.sol";
import {State} from "./market/State.sol";
import {Withdrawals} from "./market/Withdrawals.sol";

/// @title The market: one address where all money lives.
/// @notice Purchases, deposits and payouts are here; everything else is in MarketExtension, whose address is fixed in this
/// code: there is no proxy that anyone could point elsewhere, and no pause. A new market is deployed beside this one, which
/// stays honored.
contract Market is Licenses, Withdrawals, Payouts {
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
        // Beyond what is allocated, although nothing comes after: one assembly that may touch the compiler's own memory
        // and the compiler inlines next to nothing in the whole contract, which costs a purchase 2,000 to 3,000 gas.
        assembly ("memory-safe") {
            let free := mload(0x40)
            calldatacopy(free, 0, calldatasize())
            let ok := delegatecall(gas(), extension, free, calldatasize(), 0, 0)
            returndatacopy(free, 0, returndatasize())
            if iszero(ok) { revert(free, returndatasize()) }
            return(free, returndatasize())
        }
    }
}
