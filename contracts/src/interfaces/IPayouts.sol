// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

/// @title Payouts: one cumulative Merkle root per token, proposed, open to veto, accepted, then claimed or pushed.
/// @dev Leaf: keccak256(bytes.concat(keccak256(abi.encode(address token, uint32 payee, uint64 cumulativeAmount)))).
/// Tree: OpenZeppelin's StandardMerkleTree over leaves in ascending order of payee (its option `sortLeaves: false`).
interface IPayouts {
    struct Claim {
        uint32 payee;
        uint64 cumulativeAmount;
        bytes32[] proof;
    }

    /// @notice Books of one token.
    /// @param released Base units of revenue whose hold is over, ever.
    /// @param acceptedTotal Cumulative total of the accepted root.
    /// @param owed Part of `acceptedTotal` that was not paid out yet.
    /// @param epoch Epoch of the accepted root.
    /// @param acceptedAt When it was accepted, or when the token was first allowed.
    /// @param root The accepted root.
    /// @param pendingTotal Cumulative total of the pending root.
    /// @param pendingEpoch Epoch of the pending root.
    /// @param acceptAt Second from which the pending root can be accepted; 0 if none is pending.
    /// @param pendingRoot The pending root, 0 if none is pending.
    /// @param bonded True if the pending root was proposed with a bond.
    struct Books {
        uint64 released;
        uint64 acceptedTotal;
        uint64 owed;
        uint32 epoch;
        uint40 acceptedAt;
        bytes32 root;
        uint64 pendingTotal;
        uint32 pendingEpoch;
        uint40 acceptAt;
        bytes32 pendingRoot;
        bool bonded;
    }

    /// @param settlement SHA-256 of the settlement's index document.
    event RootProposed(
        address indexed token,
        uint256 indexed epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement
    );
    event RootVetoed(address indexed token, uint256 indexed epoch, address indexed by, bytes32 reason);
    event RootAccepted(address indexed token, uint256 indexed epoch, uint64 cumulativeTotal);

    /// @notice A claim was paid.
    event Paid(
        address indexed token, uint256 indexed payee, address indexed account, uint64 amount, uint64 cumulativeAmount
    );

    /// @notice Payees of the accepted root were paid `total` in all, each up to its cumulative amount, except those that
    /// a `PayoutSkipped` names before it.
    /// @param leaves As `push` was given them. The event names payees, not positions: a sorted pair proves that a leaf
    /// is in the tree, and not where.
    event Pushed(address indexed token, uint256 indexed epoch, uint256 total, bytes leaves);

    /// @notice A payee was passed over: its share stays claimable.
    /// @param reason 1 not accepted yet, 2 the token refused the transfer.
    event PayoutSkipped(address indexed token, uint256 indexed payee, uint64 amount, uint8 reason);
    event ProposerSet(address indexed token, address indexed proposer);
    event BondPosted(address indexed token, uint256 indexed epoch, address indexed proposer, uint64 amount);
    event BondReturned(address indexed token, address indexed proposer, uint64 amount);
    event BondForfeited(address indexed token, address indexed proposer, uint64 amount);
    event ForfeitsWithdrawn(address indexed token, address indexed to, uint64 amount);

    error PayoutsNotProposer(address token, address proposer, address caller);
    error PayoutsRootPending(address token, uint256 epoch);
    error PayoutsNoRootPending(address token, uint256 epoch);
    error PayoutsEpochNotNewer(uint256 epoch, uint256 accepted);
    /// @notice Epochs may be left out, but not so many that their numbers could ever run out.
    error PayoutsEpochTooFar(uint256 epoch, uint256 limit);
    error PayoutsTotalLowered(uint256 cumulativeTotal, uint256 accepted);
    error PayoutsTotalExceedsRevenue(uint256 cumulativeTotal, uint256 released);
    error PayoutsZeroRoot();
    error PayoutsFutureBlock(uint256 toBlock, uint256 current);
    error PayoutsBlockHashMismatch(uint256 toBlock, bytes32 given, bytes32 actual);
    error PayoutsWindowOpen(uint256 acceptAt, uint256 nowAt);
    error PayoutsVetoByProposer(address proposer);
    error PayoutsNotIdle(address token, uint256 idleFrom, uint256 nowAt);
    error PayoutsInvalidProof(address token);
    error PayoutsMalformedRange(uint256 first, uint256 count, uint256 leafCount);
    error PayoutsNothingDue(address token, uint256 payee, uint256 paid);
    /// @notice The leaves of the root promise more than its cumulative total: nothing beyond it is paid.
    error PayoutsExceedsTotal(address token, uint256 amount, uint256 owed);
    error PayoutsPayeeNotAccepted(uint256 payee);

    /// @notice Proposes the root of an epoch. By the token's proposer.
    /// @param toBlock Last (final) block whose events are settled; its hash is checked while the chain still knows it.
    /// @param cumulativeTotal Sum of all cumulative amounts; at most what was released.
    function propose(
        address token,
        uint32 epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement
    ) external;

    /// @notice The same by anyone, with a bond from the caller's allowance and a longer window, once no root was
    /// accepted for the idle period.
    function proposeWithBond(
        address token,
        uint32 epoch,
        uint64 toBlock,
        bytes32 toBlockHash,
        bytes32 root,
        uint64 cumulativeTotal,
        bytes32 settlement
    ) external;

    /// @notice Strikes the pending root down. By a guardian who is not the proposer.
    function veto(address token, uint32 epoch, bytes32 reason) external;

    /// @notice Accepts the pending root after its window. By anyone.
    function accept(address token, uint32 epoch) external;

    /// @notice Pays one payee what the accepted root owes it. By anyone; the money goes to the payee's account.
    function claim(address token, uint32 payee, uint64 cumulativeAmount, bytes32[] calldata proof)
        external
        returns (uint64 amount);

    /// @notice Pays several payees; one that cannot be paid is passed over.
    function claimMany(address token, Claim[] calldata claims) external returns (uint256 total);

    /// @notice Pays a contiguous range of leaves with one proof; a payee that cannot be paid is passed over.
    /// @param leafCount Number of leaves of the tree.
    /// @param first Index of the first leaf, counted from 0 in ascending order of payee.
    /// @param leaves 12 bytes per leaf: payee (uint32, big-endian), cumulative amount (uint64, big-endian).
    /// @param proof Missing siblings in the order in which the climb needs them.
    function push(address token, uint256 leafCount, uint256 first, bytes calldata leaves, bytes32[] calldata proof)
        external
        returns (uint256 total);

    /// @notice Moves elapsed hold buckets into released revenue; needed only if more elapsed than one proposal can roll.
    function roll(address token, uint256 maxBuckets) external;

    function setProposer(address token, address proposer) external;

    function withdrawForfeits(address token, address to) external;

    function books(address token) external view returns (Books memory);

    function proposerOf(address token) external view returns (address);

    /// @notice Highest cumulative total that a root proposed now may have.
    function releasable(address token) external view returns (uint256);

    /// @notice Base units held in a bucket; a bucket's revenue is released at `bucket * bucketSeconds`.
    function held(address token, uint256 bucket) external view returns (uint64);

    /// @notice Cumulative amount that was paid to a payee.
    function paid(address token, uint32 payee) external view returns (uint64);

    function bondOf(address token) external view returns (address proposer, uint64 amount);

    function forfeits(address token) external view returns (uint64);
}
