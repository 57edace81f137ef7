"""A tiny objective that draws everything it can: samples by number, augmentation, dropout, batch by itself."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from cinecmr.learn.objective import Loss


class Line:
    """Learns y = 3 x from noisy pairs, through dropout; 7 samples."""

    size = 7

    def network(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Dropout(0.3), nn.Linear(8, 1))

    def sample(self, number, rng):
        x = np.array([number / 7, 1.0]) + 0.1 * rng.normal(size=2)
        return x.astype(np.float32), np.float32(3 * x[0])

    def collate(self, samples):
        x, y = zip(*samples, strict=True)
        return torch.from_numpy(np.stack(x)), torch.from_numpy(np.stack(y))[:, None]

    def batch(self, rng, size):
        return self.collate([self.sample(int(rng.integers(self.size)), rng) for _ in range(size)])

    def loss(self, network, batch):
        x, y = batch
        error = (network(x) - y).square().mean()
        return Loss(error, {"error": float(error.detach())})

    def check(self, network):
        x, y = self.collate([self.sample(n, np.random.default_rng(n)) for n in range(self.size)])
        return {"negative_error": -float((network(x) - y).square().mean())}


class Sure(Line):
    """The same without dropout, so that samples do not share draws."""

    def network(self):
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
