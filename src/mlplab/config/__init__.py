"""Every key of the configuration, with its type and range.

The values are in `conf/`, so that each is defined in one place. A default here belongs to a key that runs of
earlier versions did not have, and means what they did.
"""

from mlplab.config.data import DETECT as DETECT
from mlplab.config.data import BundledData as BundledData
from mlplab.config.data import CsvData as CsvData
from mlplab.config.data import CsvFormat as CsvFormat
from mlplab.config.data import FileSplit as FileSplit
from mlplab.config.data import FrameData as FrameData
from mlplab.config.data import GroupSplit as GroupSplit
from mlplab.config.data import KFoldSplit as KFoldSplit
from mlplab.config.data import RandomSplit as RandomSplit
from mlplab.config.data import Split as Split
from mlplab.config.data import SyntheticData as SyntheticData
from mlplab.config.data import TimeSplit as TimeSplit
from mlplab.config.data import UserTable as UserTable
from mlplab.config.loss import CrossEntropyLoss as CrossEntropyLoss
from mlplab.config.loss import HuberLoss as HuberLoss
from mlplab.config.loss import Loss as Loss
from mlplab.config.loss import QuantileLoss as QuantileLoss
from mlplab.config.loss import SimpleLoss as SimpleLoss
from mlplab.config.model import Activation as Activation
from mlplab.config.model import Activations as Activations
from mlplab.config.model import CustomModel as CustomModel
from mlplab.config.model import Linear as Linear
from mlplab.config.model import Mlp as Mlp
from mlplab.config.model import Model as Model
from mlplab.config.model import Preprocessing as Preprocessing
from mlplab.config.model import ResolvedModel as ResolvedModel
from mlplab.config.optimizer import Adam as Adam
from mlplab.config.optimizer import ConstantSchedule as ConstantSchedule
from mlplab.config.optimizer import CosineSchedule as CosineSchedule
from mlplab.config.optimizer import CoslogSchedule as CoslogSchedule
from mlplab.config.optimizer import ResolvedOptimizer as ResolvedOptimizer
from mlplab.config.optimizer import Schedule as Schedule
from mlplab.config.optimizer import Sgd as Sgd
from mlplab.config.optimizer import StepSchedule as StepSchedule
from mlplab.config.parsing import MAY_BE_AUTO as MAY_BE_AUTO
from mlplab.config.parsing import is_marked as is_marked
from mlplab.config.parsing import parse as parse
from mlplab.config.parsing import parse_resolved as parse_resolved
from mlplab.config.parsing import unknown_key as unknown_key
from mlplab.config.parsing import validated as validated
from mlplab.config.run import Metric as Metric
from mlplab.config.run import ResolvedConfig as ResolvedConfig
from mlplab.config.run import TrainConfig as TrainConfig
from mlplab.config.sweep import Engine as Engine
from mlplab.config.sweep import Launcher as Launcher
from mlplab.config.sweep import LocalEngine as LocalEngine
from mlplab.config.sweep import RayEngine as RayEngine
from mlplab.config.sweep import SlurmEngine as SlurmEngine
from mlplab.config.sweep import Sweep as Sweep
from mlplab.config.trainer import Trainer as Trainer
from mlplab.config.types import Mark as Mark
from mlplab.config.types import Resolved as Resolved
from mlplab.config.types import check_name as check_name
