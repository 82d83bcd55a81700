"""Letters that pages send to people who have no account yet, or not this one."""

from __future__ import annotations

from django.conf import settings
from django.core.mail import send_mail
from django.urls import reverse
from django.utils.translation import gettext as _

from marketplace.queries.actors import Actor


def send_share_letter(actor: Actor, *, to: str, percent: object, token: str) -> None:
    """Tell somebody of the share of a dataset's income that was promised to them."""
    link = settings.CADASTRE_PUBLIC_URL + reverse("contribution", args=[token])
    words = _("%(name)s shares %(percent)s %% of a dataset's income with you.\n\nAccept or decline: %(link)s\n")
    figures = {"name": actor.account.display_name, "percent": percent, "link": link}
    send_mail(_("A share for you at Cadastre"), words % figures, None, [to])


def send_invitation(actor: Actor, *, to: str, token: str) -> None:
    """Invite somebody to act for an organization."""
    link = settings.CADASTRE_PUBLIC_URL + reverse("invitation", args=[token])
    words = _("%(name)s invites you to act for it at Cadastre.\n\nAccept: %(link)s\n")
    send_mail(_("An invitation at Cadastre"), words % {"name": actor.account.display_name, "link": link}, None, [to])
