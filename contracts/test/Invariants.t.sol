// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import {ILicenses} from "../src/interfaces/ILicenses.sol";
import {IPayouts} from "../src/interfaces/IPayouts.sol";
import {IUsage} from "../src/interfaces/IUsage.sol";
import {Cast} from "./Cast.sol";

/// @title Everyone does everything, in any order, also too often and at the wrong time; the books are kept beside.
/// @dev Roots are honest or not: Mallory's promise more than there is, or lower what was promised. Calls that ought to be
/// refused are refused inside, so that every call of the campaign counts.
contract Campaign is Cast {
    uint256 public constant PEOPLE = 9;

    uint64[] public licenses;
    ILicenses.Order[] private _placed;
    uint64[] private _prices;
    mapping(uint64 license => uint64 amount) private _signed;

    Leaf[] private _live;
    Leaf[] private _pending;
    uint32[] public payees;
    mapping(uint32 payee => uint64 amount) public promised;
    mapping(uint32 payee => uint64 amount) public highest;

    uint256 public received;
    uint256 public refunded;
    uint256 public deposited;
    uint256 public withdrawn;
    uint256 public spent;
    uint256 public charged;
    uint256 public paidOut;
    uint256 public bonds;
    uint32 public epoch;

    uint256 private _dataset;
    Person[] private _payers;

    function begin() external {
        setUp();
        _dataset = _register(ada, 500);
        _payers.push(treasury);
        _payers.push(cleo);
        for (uint256 k = 0; k < PEOPLE; ++k) {
            // The last one was invited and never accepts.
            address account = _accountOf(k);
            if (k + 1 < PEOPLE) {
                vm.prank(account);
                payees.push(market.acceptPayee(account, 0, ""));
            } else {
                payees.push(market.invitePayee(account));
            }
        }
    }

    function buy(uint256 seed, uint64 price, uint32 hold) external {
        Person memory payer = _payers[seed % 2];
        ILicenses.Offer memory offer = _offer(_dataset);
        offer.price = uint64(_bound(price, 0, 1e9));
        offer.holdSeconds = seed % 3 == 0 ? 0 : uint32(_bound(hold, 1, 20 days));
        ILicenses.Order memory order = _order(payer, ben);
        bytes memory signature = _signOffer(ada, offer);
        uint256 deposit = market.depositOf(address(usd), payer.account).balance;
        uint64 license;
        if (offer.price != 0 && seed % 5 == 0 && deposit >= offer.price) {
            license = market.buyFromDeposit(offer, signature, order, _signOrder(payer, offer, order));
            spent += offer.price;
        } else if (offer.price != 0 && seed % 7 == 0) {
            license = _buy(ada, offer, order, payer);
            received += offer.price;
        } else {
            vm.prank(payer.account);
            license = market.buy(offer, signature, order, "");
            received += offer.price;
        }
        licenses.push(license);
        _placed.push(order);
        _prices.push(offer.price);
        vm.prank(payer.account);
        try market.buy(offer, signature, order, "") {
            revert Untrue("an order was placed twice");
        } catch {}
    }

    function buyWithoutPaying(uint64 price) external {
        ILicenses.Offer memory offer = _offer(_dataset);
        offer.price = uint64(_bound(price, 1, 1e9));
        Person memory poor = _person("poor");
        ILicenses.Order memory order = _order(poor, poor);
        bytes memory signature = _signOffer(ada, offer);
        (uint8 v, bytes32 r, bytes32 s) = _signAuthorization(poor, offer, order);
        try market.buyWithAuthorization(offer, signature, order, v, r, s) {
            revert Untrue("a license without payment");
        } catch {}
    }

    function refund(uint256 seed) external {
        if (_placed.length == 0) return;
        uint256 i = seed % _placed.length;
        ILicenses.Order memory order = _placed[i];
        vm.prank(ada.account);
        try market.refund(order.payer, order.order) {
            refunded += _prices[i];
        } catch {}
    }

    function deposit(uint256 seed, uint64 amount) external {
        amount = uint64(_bound(amount, 1, 1e9));
        vm.prank(_payers[seed % 2].account);
        market.deposit(address(usd), _payers[(seed >> 1) % 2].account, amount);
        deposited += amount;
    }

    function charge(uint256 seed, uint64 more) external {
        if (_placed.length == 0) return;
        uint256 i = seed % _placed.length;
        uint64 amount = _signed[licenses[i]] + uint64(_bound(more, 0, 1e8));
        _signed[licenses[i]] = amount;
        uint64 units = market.chargeOf(licenses[i]).units + 1;
        IUsage.Voucher memory voucher = IUsage.Voucher(licenses[i], units, amount, 0);
        bytes memory signature = _signMarket(
            ben,
            keccak256(
                abi.encode(
                    keccak256(
                        "Voucher(uint64 license,uint64 cumulativeUnits,uint64 cumulativeAmount,bytes32 reportsRoot)"
                    ),
                    voucher
                )
            )
        );
        charged += market.charge(voucher, _placed[i].payer, _placed[i].order, signature);
    }

    function withdraw(uint256 seed, uint64 amount) external {
        Person memory person = _payers[seed % 2];
        uint64 balance = market.depositOf(address(usd), person.account).balance;
        if (balance == 0) return;
        vm.prank(person.account);
        market.requestWithdrawal(address(usd), uint64(_bound(amount, 1, balance)));
        if (seed % 3 != 0) return;
        _pass(NOTICE);
        uint256 before = usd.balanceOf(person.account);
        vm.prank(person.account);
        market.withdraw(address(usd));
        withdrawn += usd.balanceOf(person.account) - before;
    }

    function wait(uint32 time) external {
        _pass(_bound(time, 1, 12 days));
    }

    function propose(uint256 seed, bool lying, bool withBond) external {
        IPayouts.Books memory books = market.books(address(usd));
        if (books.acceptAt != 0) return;
        uint256 free = market.releasable(address(usd)) - books.acceptedTotal;
        uint64 total = books.acceptedTotal + uint64(free == 0 ? 0 : seed % (free + 1));
        delete _pending;
        for (uint256 k = 0; k < PEOPLE; ++k) {
            uint64 amount = promised[payees[k]];
            uint64 share = (total - books.acceptedTotal) / uint64(PEOPLE);
            if (lying) amount = uint64(uint256(keccak256(abi.encode(seed, k)))) / 4;
            else amount += k == 0 ? (total - books.acceptedTotal) - share * uint64(PEOPLE - 1) : share;
            _pending.push(Leaf(payees[k], amount));
        }
        bytes32 root = _tree(_pending)[0];
        address by = withBond ? mallory.account : proposer.account;
        uint64 block_ = uint64(block.number - 1);
        vm.prank(by);
        if (withBond) {
            try market.proposeWithBond(address(usd), epoch + 1, block_, blockhash(block_), root, total, 0) {
                bonds += BOND;
            } catch {}
        } else {
            market.propose(address(usd), epoch + 1, block_, blockhash(block_), root, total, 0);
        }
    }

    function veto() external {
        IPayouts.Books memory books = market.books(address(usd));
        if (books.acceptAt == 0) return;
        vm.prank(guardian.account);
        market.veto(address(usd), books.pendingEpoch, 0);
    }

    function accept() external {
        IPayouts.Books memory books = market.books(address(usd));
        if (books.acceptAt == 0) return;
        if (block.timestamp < books.acceptAt) _pass(books.acceptAt - block.timestamp);
        market.accept(address(usd), books.pendingEpoch);
        if (books.bonded) bonds -= BOND;
        epoch = books.pendingEpoch;
        delete _live;
        for (uint256 k = 0; k < _pending.length; ++k) {
            _live.push(_pending[k]);
            promised[_pending[k].payee] = _pending[k].amount;
            if (_pending[k].amount > highest[_pending[k].payee]) {
                highest[_pending[k].payee] = _pending[k].amount;
            }
        }
    }

    function claim(uint256 seed) external {
        if (_live.length == 0) return;
        uint256 k = seed % PEOPLE;
        bytes32[] memory proof = _prove(_tree(_live), k);
        try market.claim(address(usd), _live[k].payee, _live[k].amount, proof) returns (uint64 amount) {
            paidOut += amount;
        } catch {}
    }

    function push(uint256 seed) external {
        if (_live.length == 0) return;
        uint256 first = seed % PEOPLE;
        uint256 count = 1 + (seed >> 32) % (PEOPLE - first);
        bytes32[] memory proof = _proveRange(_tree(_live), first, count);
        try market.push(address(usd), PEOPLE, first, _pack(_live, first, count), proof) returns (uint256 total) {
            paidOut += total;
        } catch {}
    }

    function withdrawForfeits() external {
        uint64 amount = market.forfeits(address(usd));
        market.withdrawForfeits(address(usd), ada.account);
        bonds -= amount;
    }

    function payers(uint256 i) external view returns (address) {
        return _payers[i].account;
    }

    function paidTo(uint256 k) external view returns (uint256) {
        return usd.balanceOf(_accountOf(k));
    }

    function balance() external view returns (uint256) {
        return usd.balanceOf(address(market));
    }

    function books() external view returns (IPayouts.Books memory) {
        return market.books(address(usd));
    }

    function releasable() external view returns (uint256) {
        return market.releasable(address(usd));
    }

    function depositOf(address account) external view returns (uint256) {
        return market.depositOf(address(usd), account).balance;
    }

    function paidAmount(uint32 payee) external view returns (uint256) {
        return market.paid(address(usd), payee);
    }

    function licenseCount() external view returns (uint256) {
        return market.licenseCount();
    }

    function licensesSold() external view returns (uint256) {
        return licenses.length;
    }

    function held() external view returns (uint256 sum) {
        uint256 now_ = block.timestamp / 1 days;
        for (uint256 bucket = now_ + 1; bucket <= now_ + 22; ++bucket) {
            sum += market.held(address(usd), bucket);
        }
    }

    function _accountOf(uint256 k) private pure returns (address) {
        return address(uint160(uint256(keccak256(abi.encode("campaign", k)))));
    }
}

contract InvariantsTest is Cast {
    Campaign private campaign;

    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    function setUp() public override {
        campaign = new Campaign();
        campaign.begin();
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = address(campaign);
    }

    function targetSelectors() external view returns (FuzzSelector[] memory targets) {
        bytes4[] memory selectors = new bytes4[](13);
        selectors[0] = Campaign.buy.selector;
        selectors[1] = Campaign.buyWithoutPaying.selector;
        selectors[2] = Campaign.refund.selector;
        selectors[3] = Campaign.deposit.selector;
        selectors[4] = Campaign.charge.selector;
        selectors[5] = Campaign.withdraw.selector;
        selectors[6] = Campaign.wait.selector;
        selectors[7] = Campaign.propose.selector;
        selectors[8] = Campaign.veto.selector;
        selectors[9] = Campaign.accept.selector;
        selectors[10] = Campaign.claim.selector;
        selectors[11] = Campaign.push.selector;
        selectors[12] = Campaign.withdrawForfeits.selector;
        targets = new FuzzSelector[](1);
        targets[0] = FuzzSelector(address(campaign), selectors);
    }

    /// @dev The balance is what came in less what went out, to the base unit.
    function invariant_money_is_conserved() external view {
        uint256 inflow = campaign.received() + campaign.deposited() + campaign.bonds();
        uint256 outflow = campaign.refunded() + campaign.withdrawn() + campaign.paidOut();
        _eq(campaign.balance(), inflow - outflow, "balance");
    }

    /// @dev Deposits, held and released revenue and bonds are all there, and nothing else is.
    function invariant_the_balance_covers_everything_owed() external view {
        IPayouts.Books memory b = campaign.books();
        uint256 unsettled = campaign.releasable() - b.acceptedTotal;
        uint256 deposits = campaign.depositOf(campaign.payers(0)) + campaign.depositOf(campaign.payers(1));
        _eq(deposits, campaign.deposited() - campaign.withdrawn() - campaign.spent() - campaign.charged(), "deposits");
        _eq(campaign.balance(), deposits + campaign.held() + unsettled + b.owed + campaign.bonds(), "owed");
    }

    /// @dev Revenue is what was bought and charged less what was refunded; no more of it is promised or paid.
    function invariant_paid_is_at_most_accepted_is_at_most_released() external view {
        IPayouts.Books memory b = campaign.books();
        uint256 revenue = campaign.received() + campaign.spent() + campaign.charged() - campaign.refunded();
        _eq(campaign.releasable() + campaign.held(), revenue, "revenue");
        _true(b.acceptedTotal <= campaign.releasable(), "accepted");
        _eq(b.acceptedTotal - b.owed, campaign.paidOut(), "paid");
    }

    /// @dev Claimed or pushed, once or often: a payee has what is booked, and never more than it was ever promised.
    function invariant_nobody_is_paid_twice() external view {
        for (uint256 k = 0; k < campaign.PEOPLE(); ++k) {
            uint32 payee = campaign.payees(k);
            _eq(campaign.paidTo(k), campaign.paidAmount(payee), "booked");
            _true(campaign.paidTo(k) <= campaign.highest(payee), "promised");
        }
        _eq(campaign.paidTo(campaign.PEOPLE() - 1), 0, "who never accepted");
    }

    function invariant_no_license_without_payment() external view {
        _eq(campaign.licenseCount(), campaign.licensesSold(), "licenses");
    }
}
