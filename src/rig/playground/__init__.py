"""The page of `rig playground`: watch an agent think, walk through its imagination, and play to record a dataset."""
