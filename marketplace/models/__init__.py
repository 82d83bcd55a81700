"""Everything trade stores, by noun. Rows about chain facts are projections; see docs/architecture.md."""

from marketplace.models.accounts import (
    Account,
    AccountAddress,
    ApiKey,
    DerivedAddress,
    FormerSlug,
    Handover,
    Invitation,
    KeyExport,
    Membership,
    TopUp,
    User,
    Withdrawal,
)
from marketplace.models.catalog import Contributor, Draft, Listing, OfferRow, Quote, SlugRedirect, TermsRow
from marketplace.models.journal import Alarm, JournalAccount, Transfer
from marketplace.models.limits import CacheRow, IdempotencyRecord, PeriodRun, RateWindow
from marketplace.models.settlements import PaidTotal, PayeeRow, PayoutRow, Reconciliation, SettlementRow
from marketplace.models.trade import Disclosure, LicenseRow, Order, UsageReport, VoucherRow
from marketplace.models.wallets import WalletRequest

__all__ = [
    "Account",
    "AccountAddress",
    "Alarm",
    "ApiKey",
    "CacheRow",
    "Contributor",
    "DerivedAddress",
    "Disclosure",
    "Draft",
    "FormerSlug",
    "Handover",
    "IdempotencyRecord",
    "Invitation",
    "JournalAccount",
    "KeyExport",
    "LicenseRow",
    "Listing",
    "Membership",
    "OfferRow",
    "Order",
    "PaidTotal",
    "PayeeRow",
    "PayoutRow",
    "PeriodRun",
    "Quote",
    "RateWindow",
    "Reconciliation",
    "SettlementRow",
    "SlugRedirect",
    "TermsRow",
    "TopUp",
    "Transfer",
    "UsageReport",
    "User",
    "VoucherRow",
    "WalletRequest",
    "Withdrawal",
]
