"""EM on more rows than memory holds: out of core, in one reading, or on the workers of a cluster."""

from emcore.stream.fit import fit_stream
from emcore.stream.online import Stepwise
from emcore.stream.progress import StreamProgress
from emcore.stream.result import StreamFit

__all__ = ["Stepwise", "StreamFit", "StreamProgress", "fit_stream"]
