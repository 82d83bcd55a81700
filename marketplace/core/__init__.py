"""Pure trade: money, terms, offers, licenses, royalties, settlements. No framework, no chain library, no files, no clock."""
