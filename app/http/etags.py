"""Entity tags: what a client already has need not be sent again."""


def matches(if_none_match: str | None, etag: str) -> bool:
    """Compare weakly (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or etag in tags
