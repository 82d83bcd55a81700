"""Digests on chain are public, and anybody may register them again as their own: that opens nothing."""

from __future__ import annotations

import pyrage
import pytest

from marketplace.actions.licenses import add_recipient, covered_packages
from marketplace.models import LicenseRow
from provenance.models import GrantRow, GrantState, PackageRecord
from tests.trade.register import Register
from tests.trade.stranger import Stranger

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("kind", [0, 1])
def test_a_license_of_a_dataset_that_names_somebody_elses_package_opens_no_key(register: Register, ada, mallory, kind):
    listing = register.publish(ada)
    sealed = PackageRecord.objects.get()
    stranger = Stranger(register)
    stolen = stranger.publish(package=sealed.digest, kind=kind)
    assert listing.offer is not None
    digests = {"document": bytes.fromhex(listing.offer.digest), "terms": bytes.fromhex(listing.offer.terms_id)}
    stranger.sell_to_self(stolen, holder=register.owner_address(mallory), **digests)
    register.run()
    row = LicenseRow.objects.get(payer=stranger.address)
    assert (row.final, row.account) == (True, mallory.account)
    assert covered_packages(row) == []
    recipient = str(pyrage.x25519.Identity.generate().to_public())
    assert add_recipient(by=mallory, license_id=row.pk, recipient=recipient, now=register.now) == []
    # The signer does not rely on anybody else's judgement.
    GrantRow.objects.create(
        license=row.pk, package=sealed.digest, recipient=recipient, created=register.now, changed=register.now
    )
    register.run()
    grant = GrantRow.objects.get()
    assert (grant.state, grant.document) == (GrantState.REFUSED, "")
    assert "belongs to another dataset" in grant.cause
