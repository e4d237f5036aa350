"""The rows that a configuration names."""

from mlplab import config
from mlplab.data import synthetic
from mlplab.data.split import Split, file_split, random_split
from mlplab.data.table import Table, concrete, read_csv


def load_table(data: config.ConcreteData | config.CsvData | config.SyntheticData) -> Table:
    """The table that a data section names."""
    match data:
        case config.ConcreteData():
            return concrete()
        case config.CsvData():
            return read_csv(data.path, data.target)
        case config.SyntheticData():
            return synthetic.draw(
                data.function, rows=data.rows, features=data.features, noise=data.noise, seed=data.seed
            )


def make_split(split: config.RandomSplit | config.FileSplit, rows: int) -> Split:
    """The parts of a table of that many rows."""
    match split:
        case config.RandomSplit():
            return random_split(rows, val=split.val, test=split.test, seed=split.seed)
        case config.FileSplit():
            return file_split(rows, split.path, val=split.val, seed=split.seed)
