"""Benchmarks: contenders take turns in one process, and what is reported are ratios beside the seconds."""
