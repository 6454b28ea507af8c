"""Image encoders, one architecture per module, under upstream's tensor names."""
