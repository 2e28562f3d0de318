"""Names of the matchers, without the matchers: the command line uses them, and its help must not load torch."""

__all__ = ["MATCHERS"]

MATCHERS = ("exact", "promising", "inner-product", "svd", "groups", "spatiotemporal", "clusters")
"""`docs/gadgets.md` says what each one trades, and for how many pools there is one."""
