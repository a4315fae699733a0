"""Pure array algorithms: leg regions, bone masks, affected runs, measures."""
