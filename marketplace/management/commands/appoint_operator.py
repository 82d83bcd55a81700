"""`manage.py appoint_operator`: who sees `/operator` and may take things down."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from marketplace.models import User


class Command(BaseCommand):
    """Make somebody who has signed up an operator, or end that."""

    help = "Make somebody who has signed up an operator: they see /operator. With --dismiss that ends at once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add who."""
        parser.add_argument("email", help="the address that they sign in with")
        parser.add_argument("--dismiss", action="store_true", help="they are an operator no longer")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Write it down."""
        email, dismiss = options["email"].lower(), options["dismiss"]
        if not User.objects.filter(email=email).update(is_staff=not dismiss):
            raise CommandError(f"Nobody has signed up as {email}. They sign up on the website first.")
        self.stdout.write(f"{email} is {'an operator no longer' if dismiss else 'an operator'}")
