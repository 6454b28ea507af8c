"""The stages of an export, each a function from records to a record, cached by content.

The key of a cached stage is everything that went in: checkpoint digests, target, tool versions and
edgekit's own sources. A repeated export therefore never imports torch.
"""
