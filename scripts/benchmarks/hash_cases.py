"""The configurations whose results are hashed: overrides by name, in groups.

A word of `WORDS` stands for several overrides. Where a key is given twice, the later value counts.
"""

WORDS = {
    "numbers": "data.path=numbers.csv data.target=y",
    "two": "data.path=two.csv data.target=y",
    "three": "data.path=three.csv data.target=y",
    "targets": "data.path=targets.csv data.target=[y,z]",
    "short": "ensemble=1 trainer.max_epochs=4 baselines=[] figures=none",
    "small": "short model.hidden=[16,8] model.linear_path=false",
    "plain": "small model.piecewise_linear_bins=0 callbacks.early_stopping.patience=null",
    "saved": "trainer.max_epochs=6 data.batch_size=16 callbacks.checkpoint.every_minutes=0",
}

ALONE = {
    "defaults-numbers": "data=concrete trainer.max_epochs=3 figures=none",
    "defaults-classes": "data=penguins trainer.max_epochs=3 figures=none",
    "linear": "numbers short model=linear",
    "realmlp-numbers": "numbers short model=realmlp model.hidden=[16,16] data.batch_size=32",
    "realmlp-classes": "three short model=realmlp model.hidden=[16,16] data.batch_size=32",
    "tabm": "numbers short model=tabm model.heads=4 model.hidden=[16,16] model.piecewise_linear_bins=8",
    "custom-model": "numbers short model=custom model._target_=benchmarks.hash_child.Wide +model.width=8",
    "custom-callback": "numbers small trainer.max_epochs=20 optimizer.lr=0.3"
    " +callbacks.stop._target_=lightning.pytorch.callbacks.EarlyStopping"
    " +callbacks.stop.monitor=val/mae +callbacks.stop.patience=2",
    "layer-norm": "numbers plain model.norm=layer",
    "residual-dropout": "numbers plain model.hidden=[8,8,8] model.residual=true model.dropout=0.3",
    "periodic": "numbers plain model.periodic_features=4",
    "periodic-projection": "numbers plain model.periodic_features=4 model.periodic_projection=2",
    "linear-path": "two plain model.linear_path=true",
    "embeddings": "three plain model.preprocessing.one_hot_max_categories=2",
    "log-target": "numbers small model.preprocessing.target=log",
    "clipped": "numbers plain model.preprocessing.clip_predictions=true",
    "double": "numbers small trainer.precision=64 ensemble=2",
    "steps-by-lightning": "numbers small trainer.block=1 trainer.log_every_n_steps=2",
    "blocks-of-3": "numbers small trainer.block=3 model.dropout=0.2",
    "log-steps": "three small trainer.log_every_n_steps=1",
    "clipping": "numbers small trainer.gradient_clip_val=0.1",
    "full-batch": "numbers small data.batch_size=null",
    "dev-run": "numbers small trainer.fast_dev_run=true",
    "early-stopping": "numbers small trainer.max_epochs=30 optimizer.lr=0.1"
    " callbacks.early_stopping.patience=2 callbacks.early_stopping.min_delta=0.01",
    "early-stopping-auto": "numbers small trainer.max_epochs=40 optimizer.lr=1",
    "row-weights": "numbers small data.weight=weight",
    "row-weights-classes": "two small data.weight=weight model.linear_path=true",
    "targets": "targets small",
    "targets-huber": "targets short loss=huber loss.delta=0.5 model=linear",
    "quantiles": "numbers small loss=quantile loss.levels=[0.1,0.5,0.9]",
    "class-weights": "three small data.class_weights=balanced loss=cross_entropy loss.label_smoothing=0.1",
    "threshold": "two small data.class_weights={yes:3,no:1} threshold=auto threshold_metric=f1",
    "time": "numbers small data/split=time data.split.time=day",
    "group": "numbers small data/split=group data.split.group=shop",
    "time-folds": "numbers small data/split=kfold data.split.time=day data.split.fold=2 data.split.folds=4",
    "memory-mapped": "numbers small data.memory_gib=1e-9",
    "no-test": "two small data.split.test=0",
    "warm-start": "numbers plain init_from=outputs/layer-norm model.norm=layer",
    "film": "data=synthetic data.rows=80 experiment=film baselines=[] figures=none trainer.max_epochs=6",
    "article": "experiment=article trainer.max_epochs=50 data.rows=50 baselines=[] figures=none",
}

STACKS = {
    "rates-and-seeds": "-m numbers small optimizer.lr=0.001,0.01,0.1 seed=0,1",
    "splits": "-m numbers small data.split.seed=0,1,2",
    "folds": "-m data=penguins small data/split=kfold data.split.folds=3 data.split.fold=range(3)",
    "folds-default": "-m numbers trainer.max_epochs=2 baselines=[] figures=none"
    " data/split=kfold data.split.folds=2 data.split.fold=0,1 model.hidden=[8]",
    "dropout": "-m three small model.dropout=0,0.2,0.5 optimizer.weight_decay=0.1,1",
    "epochs": "-m numbers small optimizer.lr=1 trainer.max_epochs=4,12"
    " callbacks.early_stopping.patience=1,null",
    "some-stop": "-m numbers small trainer.max_epochs=20 optimizer.lr=0.01,1",
    "optimizers": "-m numbers small optimizer=adam,adamw,sgd optimizer.weight_averaging=true,false",
    "adamw": "-m numbers plain optimizer.lr_by_fan_in=true,false optimizer.lr_factors.biases=0.1,1"
    " optimizer.weight_decay_factors.biases=0",
    "sgd": "-m numbers plain optimizer=sgd optimizer.nesterov=true,false optimizer.weight_decay=0,0.01",
    "schedules": "-m numbers small scheduler=constant,cosine,coslog scheduler.regularization=flat_cos"
    " model.dropout=0.1",
    "step-schedules": "-m numbers small scheduler=step scheduler.step_size=1,2 scheduler.gamma=0.5",
    "warmup": "-m numbers small scheduler.warmup=0,0.3 scheduler.final_factor=0,0.1",
    "losses": "-m numbers small loss=mse,mae,huber model.linear_path=true,false",
    "preprocessing": "-m numbers plain model/preprocessing=standard,robust_clip,quantile,none",
    "activations": "-m numbers plain model.activation=leaky_relu,elu,selu,gelu,silu,mish,tanh,sigmoid",
    "parametric": "-m two plain model.parametric_activation=true model.input_scale=true"
    " model.initial_weights=uniform,data",
    "one-by-one": "-m three small seed=0,1 hydra.launcher.max_members=1",
    "films": "-m data=synthetic data.rows=80 experiment=film baselines=[] figures=none"
    " trainer.max_epochs=4 seed=0,1",
}

ENSEMBLES = {
    "eight": "numbers small ensemble=8 model.activation=relu",
    "eight-classes": "three small ensemble=8 model.dropout=0.2",
    "two-activations": "numbers small ensemble=8 model.activation=[silu,relu]",
    "three-activations": "two small ensemble=5 model.activation=[tanh,relu,mish] threshold=auto",
    "ensemble-targets": "targets small ensemble=3",
    "ensemble-quantiles": "numbers small ensemble=3 loss=quantile",
    "ensemble-linear": "numbers short ensemble=3 model=linear",
    "ensemble-stops": "two small ensemble=4 trainer.max_epochs=30 optimizer.lr=0.1"
    " callbacks.early_stopping.patience=2",
    "member-diverged": "numbers plain ensemble=4 optimizer=sgd optimizer.lr=2",
    "ensembles": "-m numbers small ensemble=3 seed=0,1 optimizer.lr=0.01,0.1",
}

DIVERGED = {
    "diverged": "numbers plain optimizer=sgd optimizer.lr=1e30",
    "some-diverged": "-m numbers plain optimizer=sgd optimizer.lr=0.01,1e30,0.02",
}
"""Their processes end with status 1."""

SEARCHES = {
    "halving": "-m numbers small sweep=quick sweep.trials=9 sweep.batch=9 trainer.max_epochs=9",
    "halving-batches": "-m two small sweep=quick sweep.trials=8 sweep.batch=4 sweep.sampler=random"
    " trainer.max_epochs=9 sweep.ensemble=2",
}

CONTINUED = {
    "more-epochs": ("numbers small scheduler=constant", "trainer.max_epochs=7"),
    "more-epochs-stack": ("-m two small scheduler=constant seed=0,1", "trainer.max_epochs=7"),
    "tested-later": ("numbers small ensemble=2 test=false", "test=true"),
}
"""The overrides of a run, and those with which it goes on after its end."""

RESUMED = {
    "resumed": "numbers small model.dropout=0.2 saved",
    "resumed-ensemble": "three small ensemble=4 model.activation=[silu,relu] saved",
    "resumed-stack": "-m numbers small optimizer.lr=0.001,0.01 seed=0,1 saved",
    "resumed-film": "data=synthetic data.rows=200 experiment=film baselines=[] figures=none saved",
}
"""Runs that are trained once more for each of `SIGNALS`, stopped by it and resumed, to the same bits."""

SIGNALS = {"killed": "SIGKILL", "stopped": "SIGTERM"}


COMMANDS = {
    **{"alone": ALONE, "stacks": STACKS, "ensembles": ENSEMBLES, "diverged": DIVERGED},
    "searches": SEARCHES,
}
"""The groups whose configurations are trained by one command each."""


def overrides(case: str) -> list[str]:
    """The words that are typed after `train`."""
    words = case.split()
    while any(word in WORDS for word in words):
        words = [each for word in words for each in WORDS.get(word, word).split()]
    return list({word.partition("=")[0]: word for word in words}.values())
