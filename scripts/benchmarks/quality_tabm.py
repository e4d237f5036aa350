"""TabM of the package `tabm`, trained as its example does, with scikit-learn's methods.

Numbers go through a quantile transform with a little noise and piecewise-linear embeddings, categories are
one-hot encoded; AdamW, patience 16, and the epoch with the lowest loss of a fifth of the rows.
"""
# mypy: disable-error-code="import-untyped"

import math
from copy import deepcopy

import numpy as np
import pandas as pd
import torch
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import QuantileTransformer
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

BATCHES = ((2_800, 32), (4_500, 64), (6_400, 128), (32_000, 256), (108_000, 512), (math.inf, 1024))
"""Rows of a step by rows for training, at most."""

PATIENCE = 16


class TabM:
    """A classifier, or a regressor."""

    def __init__(self, seed: int, *, classes: bool) -> None:
        self.seed, self.classes = seed, classes

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> None:
        """Trains until the validation loss has not fallen for 16 epochs."""
        import rtdl_num_embeddings
        import tabm

        torch.set_num_threads(1)
        torch.manual_seed(self.seed)
        train, val = train_test_split(np.arange(len(x)), test_size=0.2, random_state=self.seed)
        self._fit_columns(x.iloc[train])
        self.offset, self.scale = float(y[train].mean()), float(y[train].std()) or 1.0
        standardised = torch.tensor((y - self.offset) / self.scale, dtype=torch.float32)[:, None]
        target = torch.tensor(y) if self.classes else standardised
        numbers, codes = self._inputs(x)
        embeddings = None
        if numbers is not None:
            bins = rtdl_num_embeddings.compute_bins(numbers[train], n_bins=min(48, len(train) - 1))
            embeddings = rtdl_num_embeddings.PiecewiseLinearEmbeddings(
                bins, 16, activation=False, version="B"
            )
        self.network = tabm.TabM.make(
            n_num_features=len(self.numeric),
            cat_cardinalities=[*self.categories.values()],
            d_out=int(y.max()) + 1 if self.classes else 1,
            num_embeddings=embeddings,
        )
        optimizer = torch.optim.AdamW(self.network.parameters(), lr=2e-3, weight_decay=3e-4)
        size = next(size for rows, size in BATCHES if len(train) <= rows)
        lowest, wait = math.inf, 0
        while wait < PATIENCE:
            self.network.train()
            for rows in torch.split(torch.tensor(train)[torch.randperm(len(train))], size):
                optimizer.zero_grad()
                of_each = self._outputs(numbers, codes, rows)
                copies = target[rows].repeat_interleave(of_each.shape[1], 0)
                torch.autograd.backward(self._loss(of_each.flatten(0, 1), copies))
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimizer.step()
            loss = float(self._loss(self._mean(x.iloc[val]), target[val]))
            wait += 1
            if loss < lowest:
                best, lowest, wait = deepcopy(self.network.state_dict()), loss, 0
        self.network.load_state_dict(best)

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        """Numbers."""
        return self._mean(x)[:, 0].numpy() * self.scale + self.offset

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        """The probability of each class."""
        return self._mean(x).exp().double().numpy()

    def _loss(self, output: Tensor, target: Tensor) -> Tensor:
        return cross_entropy(output, target) if self.classes else mse_loss(output, target)

    def _outputs(self, numbers: Tensor | None, codes: Tensor | None, rows: Tensor) -> Tensor:
        """Of each network, for these rows."""
        return self.network(*(None if part is None else part[rows] for part in (numbers, codes)))

    @torch.inference_mode()
    def _mean(self, x: pd.DataFrame) -> Tensor:
        """The mean of the networks: numbers, or logarithms of probabilities."""
        self.network.eval()
        inputs = self._inputs(x)
        outputs = torch.cat(
            [self._outputs(*inputs, rows) for rows in torch.split(torch.arange(len(x)), 1024)]
        )
        return outputs.softmax(-1).mean(1).log() if self.classes else outputs.mean(1)

    def _fit_columns(self, x: pd.DataFrame) -> None:
        """Finds the categories, and fits the transform of the numbers that vary."""
        numeric = x.select_dtypes("number")
        self.numeric = [name for name in numeric if numeric[name].nunique() > 1]
        self.categories = {name: len(x[name].cat.categories) + 1 for name in x.select_dtypes("category")}
        self.imputer = SimpleImputer(strategy="median")
        quantiles = max(min(len(x) // 30, 1000), 10)
        self.normal = QuantileTransformer(
            n_quantiles=quantiles, output_distribution="normal", subsample=10**9
        )
        if self.numeric:
            numbers = self.imputer.fit_transform(x[self.numeric])
            self.normal.fit(numbers + np.random.default_rng(0).normal(0, 1e-5, numbers.shape))

    def _inputs(self, x: pd.DataFrame) -> tuple[Tensor | None, Tensor | None]:
        """Numbers, and codes of categories, where 0 is a missing one."""
        numbers = codes = None
        if self.numeric:
            transformed = self.normal.transform(self.imputer.transform(x[self.numeric]))
            numbers = torch.tensor(transformed, dtype=torch.float32)
        if self.categories:
            of_each = [x[name].cat.codes.to_numpy(np.int64) + 1 for name in self.categories]
            codes = torch.from_numpy(np.stack(of_each, 1))
        return numbers, codes
