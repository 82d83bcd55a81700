// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {IERC1155} from "@openzeppelin/contracts/interfaces/IERC1155.sol";

import {ILicenses} from "../interfaces/ILicenses.sol";
import {Signatures} from "../lib/Signatures.sol";
import {State} from "./State.sol";

/// @title License records: found by order, ended once, consent checked.
abstract contract Records is State {
    function _end(uint64 id, address licensee, uint8 status) internal {
        _licenses[id].status = status;
        emit IERC1155.TransferSingle(msg.sender, licensee, address(0), id, 1);
    }

    function _purchase(address payer, bytes32 order) internal view returns (ILicenses.Purchase memory bought) {
        bought = _purchases[_orderKey(payer, order)];
        if (bought.license == 0) revert ILicenses.LicensesUnknownOrder(payer, order);
    }

    function _checkSignature(address signer, bytes32 message, bytes calldata signature) internal view {
        if (!Signatures.isValid(signer, _hashTypedDataV4(message), signature)) {
            revert ILicenses.LicensesBadSignature(signer);
        }
    }
}
