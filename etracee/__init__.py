"""etracee compiles YAML monitoring profiles into eBPF."""

__version__ = "0.1.0"
