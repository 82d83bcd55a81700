// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Tokens that the market takes.
interface ITokens {
    event TokenAllowed(address indexed token, uint8 index);
    event TokenStopped(address indexed token);

    error TokenNotAllowed(address token);
    error TokenDecimals(address token, uint256 decimals, uint256 limit);
    error TokenTakesFee(address token, uint256 sent, uint256 received);
    error TokenRebases(address token);
    error TokenTransferFailed(address token, address from, address to, uint256 amount);
    /// @notice Send more gas: with less than `needed` left, a transfer could fail for want of it.
    error TokenTransferGas(uint256 left, uint256 needed);
    error TokenListFull(uint256 limit);

    /// @notice Allows a token, after it was probed: at most 6 decimals, no rebasing interface, no fee on a transfer of
    /// 10,000 base units from the caller, who has approved them and gets them back. Allowing a stopped token again resumes purchases with it.
    function allowToken(address token) external returns (uint8 index);

    /// @notice Stops new purchases and deposits in a token; everything owed stays payable.
    function stopToken(address token) external;

    /// @return index Dense, from 1; 0 if never allowed.
    /// @return allowed True if purchases and deposits are taken.
    function tokenState(address token) external view returns (uint8 index, bool allowed);

    function tokenAt(uint8 index) external view returns (address);

    function tokenCount() external view returns (uint256);
}
