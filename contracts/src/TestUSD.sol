// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC3009} from "@openzeppelin/contracts/token/ERC20/extensions/draft-ERC3009.sol";

/// @title A dollar for development chains: 6 decimals, permit, EIP-3009, and a tap for everyone.
/// @notice It has no value and refuses to be deployed where value might be read into it.
contract TestUSD is ERC20Permit, ERC3009 {
    /// @dev Most that is minted at once, a million: no transaction fills the 64 bits of everybody's books.
    uint256 private constant MINT_LIMIT = 1_000_000_000_000;

    error TestUSDPublicChain(uint256 chainId);
    error TestUSDMintTooMuch(uint256 amount, uint256 limit);

    constructor() ERC20("Test USD", "tUSD") ERC20Permit("Test USD") {
        if (_isPublic(block.chainid)) revert TestUSDPublicChain(block.chainid);
    }

    /// @notice Makes money out of nothing, for anyone.
    function mint(address to, uint256 amount) external {
        if (amount > MINT_LIMIT) revert TestUSDMintTooMuch(amount, MINT_LIMIT);
        _mint(to, amount);
    }

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @dev Ethereum, OP, Cronos, BNB, Gnosis, Unichain, Polygon, Sonic, Fantom, zkSync, Polygon zkEVM, Mantle, Base,
    /// Arbitrum One and Nova, Celo, Avalanche, Linea, Blast, Scroll.
    function _isPublic(uint256 id) private pure returns (bool) {
        return id == 1 || id == 10 || id == 25 || id == 56 || id == 100 || id == 130 || id == 137 || id == 146
            || id == 250 || id == 324 || id == 1101 || id == 5000 || id == 8453 || id == 42_161 || id == 42_170
            || id == 42_220 || id == 43_114 || id == 59_144 || id == 81_457 || id == 534_352;
    }
}
