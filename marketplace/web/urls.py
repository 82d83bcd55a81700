"""Addresses of the website. Those of datasets, licenses, entries, CIDs and digests are permanent (docs/formats.md)."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.i18n import JavaScriptCatalog

from marketplace.web import (
    api_keys,
    balance,
    checkout,
    custody,
    datasets,
    docs,
    earnings,
    errors,
    evidence,
    explore,
    licenses,
    look_up,
    managing,
    operating,
    people,
    publishing,
    rsl,
    verifying,
    wallets,
)

PUBLIC = [
    path("", explore.home, name="home"),
    path("explore", explore.explore, name="explore"),
    path("find", explore.find, name="find"),
    path("look-up", look_up.look_up_page, name="look-up"),
    path("d/<slug:slug>", datasets.dataset, name="dataset"),
    path("d/<slug:slug>/v/<int:number>", datasets.version, name="dataset-version"),
    path("d/<slug:slug>/license.xml", rsl.dataset_license, name="dataset-rsl"),
    path("preview/<uuid:file>", datasets.preview, name="preview"),
    path("l/<slug:slug>", evidence.license_page, name="license"),
    path("e/<int:index>", evidence.entry, name="entry"),
    path("cid/<str:cid>", evidence.by_cid, name="cid"),
    path("sha256/<str:digest>", evidence.by_sha256, name="sha256"),
    path("s/<int:epoch>", evidence.settlement, name="settlement"),
    path("disclosed/<str:token>", licenses.disclosed, name="disclosed"),
    path("audit", evidence.audit, name="audit"),
    path("verify", verifying.verify_page, name="verify"),
    path("log", evidence.log, name="log"),
    path("log/<path:path>", evidence.log_file, name="log-file"),
    path("docs", docs.docs, name="docs"),
    path("docs/<path:name>", docs.docs, name="docs-page"),
    path("api-docs", docs.docs, {"name": "api"}, name="api-docs"),
    # The messages of static/js in the reader's language (`makemessages --domain djangojs`).
    path("words.js", cache_control(max_age=3600)(JavaScriptCatalog.as_view()), name="words"),
    path("robots.txt", errors.robots, name="robots"),
    path("license.xml", rsl.all_licenses, name="rsl"),
]

PUBLISHING = [
    path("publish", publishing.publish, name="publish"),
    path("publish/start", publishing.start, name="publish-start"),
    path("publish/<uuid:draft>/files", publishing.files, name="publish-files"),
    path("publish/<uuid:draft>/describe", publishing.describe, name="publish-describe"),
    path("publish/<uuid:draft>/terms", publishing.terms, name="publish-terms"),
    path("publish/<uuid:draft>/contributors", publishing.add_contributor, name="publish-contributor"),
    path(
        "publish/<uuid:draft>/contributors/<uuid:contributor>/remove",
        publishing.remove_contributor,
        name="publish-contributor-remove",
    ),
    path("publish/<uuid:draft>/checks", publishing.checks, name="publish-checks"),
    path("publish/<uuid:draft>/review", publishing.review, name="publish-review"),
    path("publish/<uuid:draft>/discard", publishing.discard, name="publish-discard"),
    path("contribution/<str:token>", publishing.contribution, name="contribution"),
]

MANAGING = [
    path("d/<slug:slug>/manage", managing.manage, name="dataset-manage"),
    path("d/<slug:slug>/manage/offer", managing.make_offer, name="offer-make"),
    path("d/<slug:slug>/manage/offer/<str:digest>/withdraw", managing.withdraw_offer, name="offer-withdraw"),
    path("d/<slug:slug>/manage/private-offer", managing.private_offer, name="offer-private"),
    path("d/<slug:slug>/manage/derive-share", managing.derive_share, name="derive-share"),
    path("d/<slug:slug>/manage/sales", managing.change_sales, name="dataset-sales"),
    path("d/<slug:slug>/manage/name", managing.rename, name="dataset-rename"),
    path("d/<slug:slug>/manage/shares", managing.promise_share, name="share-promise"),
    path("d/<slug:slug>/manage/shares/apply", managing.apply_shares, name="shares-apply"),
    path("d/<slug:slug>/manage/shares/<uuid:contributor>", managing.change_share, name="share-change"),
    path("d/<slug:slug>/manage/refund/<slug:license_slug>", managing.judge_refund, name="refund-grant"),
    path("d/<slug:slug>/manage/stop", managing.stop_delivery, name="delivery-stop"),
    # After those above: a tab is any other word.
    path("d/<slug:slug>/<str:tab>", datasets.dataset, name="dataset-tab"),
]

BUYING = [
    path("checkout/quote/<uuid:quote>", checkout.quoted, name="checkout-quote"),
    path("checkout/<str:digest>", checkout.checkout, name="checkout"),
    path("orders/<uuid:order>", checkout.order, name="order"),
    path("orders/<uuid:order>/retry", checkout.retry, name="order-retry"),
    path("orders/<uuid:order>/take-back", checkout.take_back, name="order-take-back"),
    path("orders/<uuid:order>/judge", people.judge_order, name="order-judge"),
    path("licenses", licenses.list_licenses, name="licenses"),
    path("licenses/<slug:slug>", licenses.held, name="license-held"),
    path("licenses/<slug:slug>/certificate", licenses.certificate, name="license-certificate"),
    path("licenses/<slug:slug>/refund", licenses.refund, name="license-refund"),
    path("licenses/<slug:slug>/readers", licenses.disclose, name="license-disclose"),
    path("licenses/<slug:slug>/readers/<uuid:disclosure>", licenses.revoke_reader, name="license-reader-revoke"),
    path("licenses/reports/<str:digest>/judge", licenses.judge_report, name="report-judge"),
    path("licenses/<slug:slug>/recipients", licenses.add_recipient, name="license-recipient"),
]

MONEY = [
    path("earnings", earnings.earnings, name="earnings"),
    path("earnings/export.csv", earnings.export, name="earnings-export"),
    path("earnings/payouts/<int:payout>", earnings.payout, name="payout"),
    path("balance", balance.balance, name="balance"),
    path("balance/faucet", balance.faucet, name="faucet"),
    path("balance/collect", balance.collect, name="collect"),
    path("balance/addresses", balance.add_address, name="withdrawal-address"),
    path("balance/withdraw", balance.withdraw, name="withdraw"),
    path("balance/withdrawals/<uuid:withdrawal>/cancel", balance.cancel, name="withdrawal-cancel"),
    path("balance/statement/<str:month>", balance.statement, name="statement"),
]

SETTINGS = [
    path("settings", people.account, name="account"),
    path("settings/begin", people.begin, name="settings-begin"),
    path("settings/rename", people.rename, name="settings-rename"),
    path("settings/switch", people.switch, name="settings-switch"),
    path("settings/organizations", people.create_organization, name="organization-new"),
    path("settings/members", people.invite, name="member-invite"),
    path("settings/members/<int:membership>", people.change_member, name="member-change"),
    path("settings/members/<int:membership>/remove", people.remove_member, name="member-remove"),
    path("settings/invitations/<uuid:invitation>/revoke", people.revoke_invitation, name="invitation-revoke"),
    path("invitation/<str:token>", people.invitation, name="invitation"),
    path("settings/keys", api_keys.keys, name="api-keys"),
    path("settings/keys/<uuid:key>/revoke", api_keys.revoke, name="api-key-revoke"),
    path("settings/key", custody.own_key, name="own-key"),
    path("settings/key/exports", custody.request_export, name="key-export"),
    path("settings/key/exports/<uuid:export>", custody.download_export, name="key-export-download"),
    path("settings/key/exports/<uuid:export>/cancel", custody.cancel_export, name="key-export-cancel"),
    path("settings/key/wallet", custody.wallet_link, name="wallet-link"),
    path("settings/key/wallet/connect", custody.connect_wallet, name="wallet-connect"),
    path("settings/key/hand-over", custody.hand_over, name="hand-over"),
    path("settings/key/sign/<uuid:asked>", wallets.sign, name="wallet-sign"),
]

OPERATING = [
    path("operator", operating.operator, name="operator"),
    path("operator/matches/<int:match>", operating.judge_match, name="match-judge"),
    path("operator/take-down", operating.take_down, name="take-down"),
    path("operator/alarms/clear", operating.clear_alarm, name="alarm-clear"),
    path("operator/settlements/veto", operating.veto, name="settlement-veto"),
]

urlpatterns = [
    *PUBLIC,
    *PUBLISHING,
    *MANAGING,
    *BUYING,
    *MONEY,
    *SETTINGS,
    *OPERATING,
    # Names of accounts and datasets come last: they may be anything that is not reserved (actions.accounts.RESERVED).
    path("<slug:account>", explore.creator, name="creator"),
    path("<slug:account>/<slug:name>", datasets.named, name="named"),
]
