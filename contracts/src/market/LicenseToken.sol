// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1155} from "@openzeppelin/contracts/interfaces/IERC1155.sol";
import {IERC1155MetadataURI} from "@openzeppelin/contracts/interfaces/IERC1155MetadataURI.sol";
import {IERC165} from "@openzeppelin/contracts/interfaces/IERC165.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {State} from "./State.sol";

/// @title ERC-1155 as a view of the license records.
/// @dev They do not transfer, so receivers are not asked.
abstract contract LicenseToken is IERC1155MetadataURI, State {
    /// @notice See ILicenses.
    function setURI(string calldata newUri) external restricted {
        _uri = newUri;
    }

    /// @inheritdoc IERC1155
    function safeTransferFrom(address, address, uint256, uint256, bytes calldata) external pure {
        revert ILicenses.NotTransferable();
    }

    /// @inheritdoc IERC1155
    function safeBatchTransferFrom(address, address, uint256[] calldata, uint256[] calldata, bytes calldata)
        external
        pure
    {
        revert ILicenses.NotTransferable();
    }

    /// @inheritdoc IERC1155
    function setApprovalForAll(address, bool) external pure {
        revert ILicenses.NotTransferable();
    }

    /// @notice See ILicenses.
    function license(uint256 id) external view returns (ILicenses.License memory record) {
        record = _licenses[id];
        if (record.status == 0) revert ILicenses.LicensesUnknown(id);
    }

    /// @notice See ILicenses.
    function purchaseOf(address payer, bytes32 order) external view returns (ILicenses.Purchase memory) {
        return _purchases[_orderKey(payer, order)];
    }

    /// @notice See ILicenses.
    function licenseCount() external view returns (uint256) {
        return _counters.licenses;
    }

    /// @inheritdoc IERC1155MetadataURI
    /// @dev One template for all: clients put the id, as 64 lower-case hex digits, in place of `{id}`.
    function uri(uint256) external view returns (string memory) {
        return _uri;
    }

    /// @inheritdoc IERC1155
    function balanceOfBatch(address[] calldata accounts, uint256[] calldata ids)
        external
        view
        returns (uint256[] memory balances)
    {
        balances = new uint256[](accounts.length);
        for (uint256 i = 0; i < accounts.length; ++i) {
            balances[i] = balanceOf(accounts[i], ids[i]);
        }
    }

    /// @inheritdoc IERC1155
    function isApprovedForAll(address, address) external pure returns (bool) {
        return false;
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 id) external pure returns (bool) {
        return id == type(IERC1155).interfaceId || id == type(IERC1155MetadataURI).interfaceId
            || id == type(IERC165).interfaceId;
    }

    /// @inheritdoc IERC1155
    function balanceOf(address account, uint256 id) public view returns (uint256) {
        ILicenses.License memory record = _licenses[id];
        return record.status == ACTIVE && record.licensee == account ? 1 : 0;
    }
}
