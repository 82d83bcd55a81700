"""The same reads as REST framework's own tutorial writes them: model serializers, generic views, its own pagination.

The URL configuration of `bench.reads`: everything of the project, and these two addresses.
"""

from __future__ import annotations

from django.urls import path
from rest_framework import generics, pagination, renderers, serializers

from marketplace.models import Account, Listing, OfferRow
from marketplace.urls import urlpatterns as own
from provenance.models import DatasetRecord, PackageRecord, ParentEdge


class AccountSerializer(serializers.ModelSerializer):
    """An account's names."""

    class Meta:
        model = Account
        fields = ("slug", "display_name")


class OfferSerializer(serializers.ModelSerializer):
    """What an offer costs."""

    class Meta:
        model = OfferRow
        fields = ("digest", "price", "token")


class RowSerializer(serializers.ModelSerializer):
    """A listing in a list."""

    account = AccountSerializer()
    offer = OfferSerializer()

    class Meta:
        model = Listing
        fields = (
            "dataset", "slug", "state", "title", "creator", "kind", "visibility", "languages", "uses", "files",
            "bytes", "records", "version", "created", "account", "offer",
        )  # fmt: skip


class ListingSerializer(RowSerializer):
    """A listing."""

    class Meta(RowSerializer.Meta):
        fields = (*RowSerializer.Meta.fields, "reason", "description", "changed")


class PackageSerializer(serializers.ModelSerializer):
    """A package."""

    class Meta:
        model = PackageRecord
        fields = ("package", "kind", "digest", "tx")


class EdgeSerializer(serializers.ModelSerializer):
    """An edge of the lineage."""

    class Meta:
        model = ParentEdge
        fields = ("child", "parent", "bps", "license")


class RecordSerializer(serializers.ModelSerializer):
    """A dataset with its listing, packages and parents."""

    listing = serializers.SerializerMethodField()
    package_records = PackageSerializer(many=True)
    parent_edges = EdgeSerializer(many=True)

    class Meta:
        model = DatasetRecord
        fields = (
            "token", "owner", "derive_bps", "open_derive", "splits", "manifest", "tx", "block_number", "block_hash",
            "registered_at", "final", "listing", "package_records", "parent_edges",
        )  # fmt: skip

    def get_listing(self, record):
        found = Listing.objects.select_related("account", "offer").get(pk=record.caip)
        return ListingSerializer(found).data


class Fifty(pagination.CursorPagination):
    """Pages of fifty."""

    page_size = 50
    ordering = ("-created", "dataset")


class Plain:
    """Nobody is asked for; answers are JSON."""

    authentication_classes = ()
    permission_classes = ()
    renderer_classes = (renderers.JSONRenderer,)


class PlainList(Plain, generics.ListAPIView):
    """`/plain/datasets`."""

    queryset = Listing.objects.filter(state="listed").select_related("account", "offer")
    serializer_class = RowSerializer
    pagination_class = Fifty


class PlainDetail(Plain, generics.RetrieveAPIView):
    """`/plain/datasets/{number}`."""

    queryset = DatasetRecord.objects.select_related("deployment").prefetch_related("package_records", "parent_edges")
    serializer_class = RecordSerializer
    lookup_field = "token"


urlpatterns = [
    path("plain/datasets", PlainList.as_view()),
    path("plain/datasets/<int:token>", PlainDetail.as_view()),
    *own,
]
