"""What a profile costs: the same work with and without `etracee run`, in turns; or a forecast."""
