"""Programs in place of upstream's images. Each file runs by itself where Bailie is installed."""
