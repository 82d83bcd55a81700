// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC20Metadata} from "@openzeppelin/contracts/interfaces/IERC20Metadata.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {ITokens} from "../interfaces/ITokens.sol";
import {Revenue} from "./Revenue.sol";
import {Tokens} from "./Tokens.sol";

/// @title Tokens that the market takes.
abstract contract TokenList is Tokens, Revenue {
    uint256 private constant MAX_DECIMALS = 6;
    /// @dev One cent of a token of 6 decimals: a fee of one basis point shows.
    uint256 private constant PROBE = 10_000;

    /// @notice See ITokens.
    function allowToken(address token) external restricted nonReentrant returns (uint8 index) {
        index = _tokenStates[token].index;
        if (index == 0) {
            if (_tokens.length == type(uint8).max) revert ITokens.TokenListFull(type(uint8).max);
            _tokens.push(token);
            index = uint8(_tokens.length);
            _openBooks(token);
            _probe(token);
        }
        _tokenStates[token] = TokenState(index, true);
        emit ITokens.TokenAllowed(token, index);
    }

    /// @notice See ITokens.
    function stopToken(address token) external restricted {
        if (!_tokenStates[token].allowed) revert ITokens.TokenNotAllowed(token);
        _tokenStates[token].allowed = false;
        emit ITokens.TokenStopped(token);
    }

    /// @notice See ITokens.
    function tokenState(address token) external view returns (uint8 index, bool allowed) {
        TokenState memory state = _tokenStates[token];
        return (state.index, state.allowed);
    }

    /// @notice See ITokens.
    function tokenCount() external view returns (uint256) {
        return _tokens.length;
    }

    /// @notice See ITokens.
    function tokenAt(uint8 index) public view returns (address) {
        return _tokens[index - 1];
    }

    /// @dev Refuses by name what the accounting cannot carry. Role holders still read a token's code before listing it.
    function _probe(address token) private {
        uint256 decimals = IERC20Metadata(token).decimals();
        if (decimals > MAX_DECIMALS) revert ITokens.TokenDecimals(token, decimals, MAX_DECIMALS);
        // Lido's and Aave's views of a share behind the balance, and Ampleforth's.
        if (
            _answers(token, "sharesOf(address)") || _answers(token, "scaledBalanceOf(address)")
                || _answers(token, "scaledTotalSupply()")
        ) revert ITokens.TokenRebases(token);
        _pull(token, msg.sender, PROBE);
        _send(token, msg.sender, PROBE);
    }

    /// @dev Starts the books of a token that is allowed for the first time.
    function _openBooks(address token) private {
        Ledger storage ledger = _ledgers[token];
        ledger.agenda.rolled = SafeCast.toUint32(_currentBucket());
        ledger.acceptedAt = uint40(block.timestamp);
    }

    function _answers(address token, string memory signature) private view returns (bool) {
        (bool ok, bytes memory result) = token.staticcall(abi.encodeWithSignature(signature, address(this)));
        return ok && result.length >= 32;
    }
}
