"""LeRobotDataset v3: Parquet, videos and `meta/`, several episodes in a file; read and written for `rig.records`."""
