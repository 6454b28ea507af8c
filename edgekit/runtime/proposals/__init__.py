"""Where the objects of a photo probably are: a small network over the encoder's output, in NumPy.

`edgekit train --proposals` makes its file. Everything mode's strategy "proposed" prompts there.
"""

from edgekit.runtime.proposals.file import read_proposals, write_proposals
from edgekit.runtime.proposals.network import ProposalNetwork

__all__ = ["ProposalNetwork", "read_proposals", "write_proposals"]
