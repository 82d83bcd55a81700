// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IMarket} from "./interfaces/IMarket.sol";
import {Disputes} from "./market/Disputes.sol";
import {Fees} from "./market/Fees.sol";
import {LicenseToken} from "./market/LicenseToken.sol";
import {Proposals} from "./market/Proposals.sol";
import {Revocations} from "./market/Revocations.sol";
import {State} from "./market/State.sol";
import {TokenList} from "./market/TokenList.sol";

/// @title The market's less frequent functions.
/// @notice Code only: Market delegates to it, on Market's storage and balance. Called at its own address it has no money,
/// no datasets licensed and no books.
contract MarketExtension is IMarket, LicenseToken, TokenList, Fees, Revocations, Proposals, Disputes {
    uint32 private immutable EPOCH;
    uint32 private immutable FINALITY;
    uint16 private immutable FIRST_FEE_BPS;

    constructor(Config memory c) State(c) {
        if (c.feeBps > MAX_FEE_BPS) revert MarketBadConfig();
        EPOCH = c.epochSeconds;
        FINALITY = c.finalitySeconds;
        FIRST_FEE_BPS = c.feeBps;
    }

    /// @inheritdoc IMarket
    function configDigest() external view returns (bytes32) {
        return keccak256(abi.encode(config()));
    }

    /// @inheritdoc IMarket
    function config() public view returns (Config memory) {
        return Config({
            registry: address(REGISTRY),
            authority: authority(),
            feeBps: FIRST_FEE_BPS,
            bucketSeconds: uint32(BUCKET_SECONDS),
            epochSeconds: EPOCH,
            windowSeconds: uint32(WINDOW),
            finalitySeconds: FINALITY,
            noticeSeconds: uint32(NOTICE),
            idleSeconds: uint32(IDLE),
            openWindowSeconds: uint32(OPEN_WINDOW),
            payeeDelaySeconds: uint32(PAYEE_DELAY),
            bond: BOND
        });
    }
}
