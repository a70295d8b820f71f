"""How the commands read options that they share."""

from typing import Annotated

from tyro.conf import DisallowNone, OmitArgPrefixes

from model.files import ReadOptions

# Without a prefix, and with --header and --no-header for a choice that has no default.
Reading = Annotated[ReadOptions, OmitArgPrefixes, DisallowNone]
