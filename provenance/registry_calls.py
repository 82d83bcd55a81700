"""The transactions that evidence itself sends: registrations, versions, packages, splits and anchors."""


def register_kinds() -> None:
    pass
