// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Metered use: deposits, and cumulative vouchers charged against them.
interface IUsage {
    /// @notice What a licensee signs. Amounts only grow; the latest voucher replaces all earlier ones.
    /// @param cumulativeUnits Units used since the license began, as the terms count them.
    /// @param cumulativeAmount Base units of the license's token owed for them.
    /// @param reportsRoot Root over the usage reports that explain the sum.
    struct Voucher {
        uint64 license;
        uint64 cumulativeUnits;
        uint64 cumulativeAmount;
        bytes32 reportsRoot;
    }

    /// @param balance Base units that vouchers can still be charged against.
    /// @param requested Base units asked back.
    /// @param withdrawableAt Second from which `requested` can be withdrawn; 0 if nothing was asked back.
    struct Deposit {
        uint64 balance;
        uint64 requested;
        uint40 withdrawableAt;
    }

    /// @param units Cumulative units of the latest voucher charged.
    /// @param amount Cumulative base units that were moved.
    struct Charge {
        uint64 units;
        uint64 amount;
    }

    event Deposited(address indexed token, address indexed account, address indexed from, uint64 amount);
    event WithdrawalRequested(address indexed token, address indexed account, uint64 amount, uint40 withdrawableAt);
    event Withdrawn(address indexed token, address indexed account, uint64 amount);

    /// @param units Cumulative units signed.
    /// @param signed Cumulative amount signed.
    /// @param moved Base units moved by this charge; less than the difference if the deposit ran out.
    /// @param total Cumulative amount moved after it.
    event Charged(
        uint256 indexed license,
        uint256 indexed dataset,
        address indexed payer,
        address token,
        uint64 units,
        uint64 signed,
        uint64 moved,
        uint64 total,
        bytes32 reportsRoot
    );

    error UsageZeroAmount();
    error UsageDepositTooLow(address token, address account, uint256 balance, uint256 needed);
    error UsageNoWithdrawal(address token, address account);
    error UsageWithdrawalNotice(uint256 withdrawableAt, uint256 nowAt);
    /// @notice Ask again: a request stands as long as its notice was, and no longer.
    error UsageWithdrawalLapsed(uint256 lapsedAt, uint256 nowAt);
    error UsageLicenseMismatch(uint256 voucherLicense, uint256 orderLicense);
    error UsageBadSignature(address expectedSigner);
    error UsageVoucherNotNewer(uint256 license, uint256 units, uint256 amount);
    error UsageNoticeTooShort(uint256 notice, uint256 minimum);

    /// @notice Deposits from the caller's allowance for `account`.
    function deposit(address token, address account, uint64 amount) external;

    /// @notice Deposits by an EIP-3009 authorization of `from` whose nonce is `depositNonce(account, ref)`, `validAfter` 0.
    function depositWithAuthorization(
        address token,
        address from,
        address account,
        uint64 amount,
        bytes32 ref,
        uint256 validBefore,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;

    /// @notice Asks `amount` of the caller's deposit back; replaces an earlier request. Vouchers go on being charged.
    function requestWithdrawal(address token, uint64 amount) external;

    /// @notice Pays a request out after its notice, and before as much time again has passed: what was asked, or what
    /// is left of the deposit.
    function withdraw(address token) external;

    /// @notice Moves what a voucher adds to earlier ones from the deposit of the license's payer to revenue.
    /// Anyone may send it. Moves what the deposit holds, if less; the same voucher then charges the rest later.
    function charge(Voucher calldata voucher, address payer, bytes32 order, bytes calldata signature)
        external
        returns (uint64 moved);

    function depositOf(address token, address account) external view returns (Deposit memory);

    function chargeOf(uint256 license) external view returns (Charge memory);

    /// @notice keccak256(abi.encode(chainId, this contract, account, ref)).
    function depositNonce(address account, bytes32 ref) external view returns (bytes32);
}
