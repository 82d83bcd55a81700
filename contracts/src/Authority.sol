// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

// Roles and delays are OpenZeppelin's, unchanged. Named here so that the build compiles it beside the rest.
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
