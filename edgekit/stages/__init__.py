"""The stages of an export, each a function from records to a record, cached by content.

The key of a cached stage holds everything that went in: checkpoint digests, target, tool versions
and the source files that the stage can reach. A repeated export therefore never imports torch.
"""
