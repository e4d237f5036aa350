"""Every key of the configuration, with its type and range.

The values are in `conf/`, so that each is defined in one place. A default here belongs to a key that runs of
earlier versions did not have, and means what they did.
"""

from mlplab.config.data import (
    DETECT,
    BundledData,
    CsvData,
    CsvFormat,
    FileSplit,
    FrameData,
    GroupSplit,
    KFoldSplit,
    RandomSplit,
    Split,
    SyntheticData,
    TimeSplit,
    UserTable,
)
from mlplab.config.dotted_keys import differing, flat, is_one_of, quoted
from mlplab.config.loss import CrossEntropyLoss, CustomLoss, HuberLoss, Loss, QuantileLoss, SimpleLoss
from mlplab.config.model import (
    Activation,
    CustomModel,
    Linear,
    Mlp,
    Model,
    Preprocessing,
    ResolvedModel,
)
from mlplab.config.optimizer import (
    Adam,
    ConstantSchedule,
    CosineSchedule,
    CoslogSchedule,
    ResolvedOptimizer,
    Schedule,
    Sgd,
    StepSchedule,
)
from mlplab.config.run import Metric, ResolvedConfig, TrainConfig
from mlplab.config.sweep import Engine, Launcher, LocalEngine, RayEngine, SlurmEngine, Sweep
from mlplab.config.trainer import Trainer
from mlplab.config.types import Mark, Resolved, check_name
from mlplab.config.unknown_keys import unknown_key
from mlplab.config.validation import MAY_BE_AUTO, is_marked, parse, parse_resolved, validated
