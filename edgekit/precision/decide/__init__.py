"""Make a precision plan: one module per precision, and the searches by mask IoU."""
