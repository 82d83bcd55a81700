// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Payees: a dense number for each account that shares in income.
interface IPayees {
    /// @param account Where payouts go.
    /// @param accepted False while an invited contributor has not accepted; its share waits.
    /// @param nonce Number of announced changes of address.
    /// @param changeAt Second from which the announced change can be applied; 0 if none is announced.
    /// @param next Announced new account.
    struct Payee {
        address account;
        bool accepted;
        uint32 nonce;
        uint40 changeAt;
        address next;
    }

    event PayeeAdded(uint256 indexed payee, address indexed account, bool accepted);
    event PayeeAccepted(uint256 indexed payee);
    event PayeeChangeAnnounced(uint256 indexed payee, address indexed to, uint40 changeAt);
    event PayeeChangeCancelled(uint256 indexed payee);
    event PayeeChanged(uint256 indexed payee, address indexed from, address indexed to);
    event FeePayeeSet(uint256 indexed payee);

    error PayeesZeroAccount();
    error PayeesUnknown(uint256 payee);
    error PayeesNotAccount(uint256 payee, address account, address caller);
    error PayeesBadSignature(address expectedSigner);
    error PayeesExpired(uint256 deadline, uint256 nowAt);
    error PayeesNoChange(uint256 payee);
    error PayeesChangeNotDue(uint256 payee, uint256 changeAt, uint256 nowAt);

    /// @notice Number of the account, added as accepted if it owns the dataset and had none. By anyone.
    function enrollOwner(uint256 dataset) external returns (uint32 id);

    /// @notice Number of the account, added as not accepted if it had none. By anyone.
    function invitePayee(address account) external returns (uint32 id);

    /// @notice Accepts an invitation, or enrolls an account that asks for itself.
    /// @param signature The account's EIP-712 `PayeeAcceptance`; empty if the account sends the transaction.
    function acceptPayee(address account, uint256 deadline, bytes calldata signature) external returns (uint32 id);

    /// @notice Announces that payouts shall go to another account after the public delay. Replaces an earlier one.
    /// @param signature The account's EIP-712 `PayeeChange`; empty if the account sends the transaction.
    function announcePayeeChange(uint32 id, address to, uint256 deadline, bytes calldata signature) external;

    /// @notice Withdraws an announced change. By the payee's present account.
    function cancelPayeeChange(uint32 id) external;

    /// @notice Applies an announced change after the delay. By anyone.
    function applyPayeeChange(uint32 id) external;

    /// @notice Names the payee that receives the market's fee in settlements from now on.
    function setFeePayee(uint32 id) external;

    function payee(uint32 id) external view returns (Payee memory);

    /// @notice Number of an account, 0 if it has none.
    function payeeOf(address account) external view returns (uint32);

    function payeeCount() external view returns (uint256);

    function feePayee() external view returns (uint32);
}
