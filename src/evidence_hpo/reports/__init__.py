"""Reports on a finished study: what its jobs took, what it cost, and the page that sums it up."""
