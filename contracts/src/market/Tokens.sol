// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/interfaces/IERC20.sol";
import {IERC3009} from "@openzeppelin/contracts/interfaces/draft-IERC3009.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {ITokens} from "../interfaces/ITokens.sol";
import {State} from "./State.sol";

/// @title The only three ways in which money moves.
abstract contract Tokens is State {
    using SafeERC20 for IERC20;

    /// @dev More than a transfer of any token that is worth listing takes.
    uint256 private constant TRANSFER_GAS = 100_000;

    /// @dev Takes `amount` from the allowance of `from` and checks that it came whole.
    function _pull(address token, address from, uint256 amount) internal {
        uint256 before = IERC20(token).balanceOf(address(this));
        if (!IERC20(token).trySafeTransferFrom(from, address(this), amount)) {
            revert ITokens.TokenTransferFailed(token, from, address(this), amount);
        }
        _checkReceived(token, before, amount);
    }

    /// @dev Takes `amount` by an EIP-3009 authorization. That the token calls a nonce used proves nothing (a cancelled
    /// one is, too): what counts is that the balance grew.
    function _pullAuthorized(
        address token,
        address from,
        uint256 amount,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) internal {
        uint256 before = IERC20(token).balanceOf(address(this));
        IERC3009(token).receiveWithAuthorization(from, address(this), amount, 0, validBefore, nonce, v, r, s);
        _checkReceived(token, before, amount);
    }

    function _send(address token, address to, uint256 amount) internal {
        if (!_trySend(token, to, amount)) revert ITokens.TokenTransferFailed(token, address(this), to, amount);
    }

    /// @dev False means that the token refused. With little gas left even a willing token fails: then everything is
    /// reverted, so that nobody makes a payout or a bond look refused by sending too little gas.
    function _trySend(address token, address to, uint256 amount) internal returns (bool) {
        if (gasleft() < TRANSFER_GAS) revert ITokens.TokenTransferGas(gasleft(), TRANSFER_GAS);
        return IERC20(token).trySafeTransfer(to, amount);
    }

    function _allowedIndex(address token) internal view returns (uint8) {
        TokenState memory state = _tokenStates[token];
        if (!state.allowed) revert ITokens.TokenNotAllowed(token);
        return state.index;
    }

    function _checkReceived(address token, uint256 before, uint256 amount) private view {
        uint256 received = IERC20(token).balanceOf(address(this)) - before;
        if (received != amount) revert ITokens.TokenTakesFee(token, amount, received);
    }
}
