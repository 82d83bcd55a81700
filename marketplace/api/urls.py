"""Addresses below `/api/v1/`, in the order of docs/api.md."""

from __future__ import annotations

from django.urls import path, re_path, register_converter

from marketplace.api import (
    blocks,
    bundles,
    datasets,
    deployment,
    documents,
    draft_files,
    drafts,
    earnings,
    entries,
    faucet,
    keys,
    licenses,
    lineage,
    look_up,
    matches,
    me,
    names,
    offers,
    orders,
    problems,
    quotes,
    review,
    schema,
    settlements,
    signatures,
    trails,
    uploads,
    usage,
    versions,
    wallets,
    withdrawals,
)


class _Cid:
    """A CIDv1 in base32; whether it is one that is known is the view's question."""

    regex = "b[a-z2-7]{20,100}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class _Digest(_Cid):
    """64 lower-case hex digits."""

    regex = "[0-9a-f]{64}"


class _Number:
    """A number that every database holds."""

    regex = "(?:0|[1-9][0-9]{0,15})"

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


register_converter(names.DatasetIdConverter, "dataset")
register_converter(names.LicenseIdConverter, "license")
register_converter(_Cid, "cid")
register_converter(_Digest, "sha256")
register_converter(_Number, "number")

urlpatterns = [
    path("schema", schema.schema_document, name="api-schema"),
    path("me", me.MeResource.as_view()),
    path("faucet", faucet.FaucetResource.as_view()),
    path("wallets", wallets.WalletsResource.as_view()),
    path("wallets/link", wallets.LinkResource.as_view()),
    path("signatures", signatures.SignaturesResource.as_view()),
    path("signatures/<uuid:signature>", signatures.SignatureResource.as_view()),
    path("keys", keys.KeysResource.as_view()),
    path("keys/<uuid:key>", keys.KeyResource.as_view()),
    path("drafts", drafts.DraftsResource.as_view()),
    path("drafts/<uuid:draft>", drafts.DraftResource.as_view()),
    path("drafts/<uuid:draft>/files", draft_files.DraftFilesResource.as_view()),
    path("drafts/<uuid:draft>/check", drafts.CheckResource.as_view()),
    path("drafts/<uuid:draft>/matches", matches.MatchesResource.as_view()),
    path("drafts/<uuid:draft>/review", review.ReviewResource.as_view()),
    path("drafts/<uuid:draft>/confirm", drafts.ConfirmResource.as_view()),
    path("uploads", uploads.UploadsResource.as_view()),
    path("uploads/<uuid:file>", uploads.UploadResource.as_view()),
    path("matches/<number:match>/answer", matches.MatchAnswerResource.as_view()),
    path("datasets", datasets.DatasetsResource.as_view()),
    path("datasets/<dataset:dataset>", datasets.DatasetResource.as_view()),
    path("datasets/<dataset:dataset>/versions/<number:version>", versions.VersionResource.as_view()),
    path("datasets/<dataset:dataset>/files", versions.FilesResource.as_view()),
    path("datasets/<dataset:dataset>/lineage", lineage.LineageResource.as_view()),
    path("datasets/<dataset:dataset>/trail", trails.TrailResource.as_view()),
    path("datasets/<dataset:dataset>/offers", offers.OffersResource.as_view()),
    path("datasets/<dataset:dataset>/listing", offers.ListingResource.as_view()),
    path("datasets/<dataset:dataset>/blocks/<cid:cid>", blocks.OpenBlockResource.as_view()),
    path("look-up", look_up.LookUpResource.as_view()),
    path("quotes", quotes.QuotesResource.as_view()),
    path("quotes/<uuid:quote>", quotes.QuoteResource.as_view()),
    path("quotes/<uuid:quote>/offer", quotes.QuotedOfferResource.as_view()),
    path("orders", orders.OrdersResource.as_view()),
    path("orders/<uuid:order>", orders.OrderResource.as_view()),
    path("orders/<uuid:order>/approve", orders.ApproveResource.as_view()),
    path("orders/<uuid:order>/decline", orders.DeclineResource.as_view()),
    path("licenses", licenses.LicensesResource.as_view()),
    path("licenses/<license:license_id>", licenses.LicenseResource.as_view()),
    path("licenses/<license:license_id>/bundle", bundles.LicenseBundleResource.as_view()),
    path("licenses/<license:license_id>/grants", licenses.GrantsResource.as_view()),
    path("licenses/<license:license_id>/refund", licenses.RefundResource.as_view()),
    path("licenses/<license:license_id>/blocks/<cid:cid>", blocks.LicensedBlockResource.as_view()),
    path("usage", usage.UsageResource.as_view()),
    path("usage/<sha256:report>/approve", usage.ApproveResource.as_view()),
    path("usage/<sha256:report>/decline", usage.DeclineResource.as_view()),
    path("earnings", earnings.EarningsResource.as_view()),
    path("payouts", earnings.PayoutsResource.as_view()),
    path("withdrawals", withdrawals.WithdrawalsResource.as_view()),
    path("settlements", settlements.SettlementsResource.as_view()),
    path("settlements/<number:epoch>", settlements.SettlementResource.as_view()),
    path("entries", entries.EntriesResource.as_view()),
    path("entries/<number:index>", entries.EntryResource.as_view()),
    path("entries/<number:index>/proof", entries.ProofResource.as_view()),
    path("documents/<sha256:sha256>", documents.DocumentResource.as_view()),
    path("deployment", deployment.DeploymentResource.as_view()),
    re_path(r"", problems.page_not_found),
]
