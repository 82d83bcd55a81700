"""Pure trade: money, terms, offers, licenses, settlements. No framework, no chain library, no files, no clock."""
