"""Entity tags: a client that has the current version gets 304 Not Modified."""

MAX_TAGS = 128  # of a longer list, the tags after these match nothing


def matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether If-None-Match has the tag, compared weakly (RFC 9110, 13.1.2)."""
    if if_none_match is None:
        return False
    listed = if_none_match.split(",", MAX_TAGS)[:MAX_TAGS]
    tags = {tag.strip().removeprefix("W/") for tag in listed}
    return "*" in tags or etag in tags
