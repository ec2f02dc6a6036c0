"""Optimizers that tune their own hyperparameters during training, for anyone's training loop.

- `SGDHD`, `AdamHD`: hypergradient descent on the learning rate (Baydin et al. 2018), of any order.
- `Tower`: any height of optimizers on optimizers (Chandra et al. 2022), of the levels `SGD`,
  `Adam`, `AdaGrad`, `RMSProp` and, above a learning rate, `Multiplicative`. Hypergradient descent
  is the tower of two.
- `HDM`: gradient descent whose step sizes and momentum are learned, with guarantees (Gao et al.
  2025). It tries steps, so `step` needs a closure.

All are ordinary `torch.optim.Optimizer` classes; the hypergradients are analytic. Some of torch's
schedulers set back what was learned: see `Tower`, and docs/hypergradients.md for each of them.
"""

from searchers.online.hd import SGDHD, AdamHD
from searchers.online.hdm import HDM
from searchers.online.levels import SGD, AdaGrad, Adam, Multiplicative, RMSProp
from searchers.online.tower import Tower

__all__ = ["HDM", "SGD", "SGDHD", "AdaGrad", "Adam", "AdamHD", "Multiplicative", "RMSProp", "Tower"]
