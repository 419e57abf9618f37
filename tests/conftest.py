"""What every test shares."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

torch.set_num_threads(1)  # small tensors: more threads only wait for each other, and tests run side by side
