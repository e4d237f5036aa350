"""Compares this project with its peers on one core (devices: on all).

python scripts/benchmark.py step
python scripts/benchmark.py sweep full=true
python scripts/benchmark.py stack repeats=3 output=stack.json
python scripts/benchmark.py search what=peers repeats=3 cap=120
python scripts/benchmark.py engines what=speedup
python scripts/benchmark.py quality only=concrete,penguins contenders=mlplab,mlp figure=quality.svg

  step    an optimizer step: this project, a plain PyTorch loop, Lightning as usually written, scikit-learn,
          and the arithmetic alone
  sweep   a whole sweep as a process: 1, 64 and 512 runs
  stack   a step of one member, in stacks of 1 to 128 members, for several networks and batch sizes
  ensemble a whole training of one network and of ensembles, for several networks
  devices an epoch of one network in one process and in two
  csv     a CSV file to tensors: this project, polars, pandas; its time by rows; reading and describing wide
          tables; training on a memory-mapped table of four times the memory that it may use, in a process
          with capped memory
  pictures a run and a sweep with and without figures; opening TensorBoard on a sweep, in a browser; and
          writing its report
  predict predictions for a CSV file: within the process, as a process, for one row; and polars, which only
          reads and writes; and by an ensemble of a sweep's runs, as one stack and network by network
  quality test errors of the defaults on tables of numbers and of classes, beside scikit-learn, XGBoost,
          LightGBM, CatBoost and RealMLP; and the time of a fit
  search  hyperparameter searches: in lockstep, pruned, beside peers, killed, and beside the defaults
  engines sweeps by processes, submitit on this machine and Ray; needs the packages submitit and ray

  of all but quality:
  repeats=N        measurements of each, in turn with the others; those of searches have other seeds
  output=FILE      for all times; default: outputs/benchmarks/<name>.json, or <name>-<what>.json
  ensemble only:
  members=1,8      of the ensembles
  devices only:
  devices=1,2      numbers of processes, which use all cores
  epochs=5         that are timed in each training
  pictures only:
  runs=1,64        sizes of the sweeps that are trained with and without figures
  look=1,64,512    sizes of the sweeps that are opened
  epochs=400       of their runs
  sweep only:
  epochs=N         of each run
  runs=1,64,512    sizes of the sweep
  lightning=4,12   sizes at which Lightning is measured; the others are extrapolated
  sklearn=8,32     the same for scikit-learn
  full=true        measures these two at all sizes, which takes over half an hour
  dropout=0.1      of mlplab's networks only
  csv and predict only:
  rows=1000000     of the table
  predict only:
  runs=512         of the ensemble
  csv only:
  epochs=N         of each training
  full=true        also reads a table with ten times as many rows
  columns=250,1000,3000   of the wide tables, which have 2,000 rows
  quality only:
  tables=FOLDER    of CSV files NAME.csv, whose last column is the target (text: classes), and of splits
                   splits/NAME-0.txt, …, with a word for each row: train, val or test; default: tables that
                   ship with mlplab and scikit-learn
  only=NAME,NAME   of these tables
  folds=5          of the tables that ship
  contenders=mlplab,mlp,linear,boosting,xgboost,lightgbm,catboost,realmlp
                   default: all that are installed; errors are also shown relative to mlp's, or the first's
  variants='wide: model.hidden=[512,512]; quantile: model/preprocessing=quantile data.batch_size=64'
                   further contenders: mlplab with such arguments of scripts/train.py, by name
  seeds=1          of mlplab, mlp and realmlp
  figure=FILE      also draws error over time, as .svg or .png
  output=FILE      gets a line for each score at once, and those that it has are not measured again: delete
                   those that are out of date; default: outputs/benchmarks/quality.jsonl
  search only:
  what=lockstep    batches in lockstep, beside one trial at a time
       widths      the same, with widths of layers searched too
       pruning     successive halving and Hyperband, beside no pruning
       peers       seconds until an error is reached; also by Optuna with scikit-learn and with Lightning
       kills       a search that is killed and restarted, beside one that is left alone
       ready       the ready search, beside the default
  trials=N batch=N epochs=N   of each search; not of ready
  peers only:
  tolerance=0.01   by which the error to reach may be above the median of mlplab's
  target=5.5       this error instead, without mlplab
  cap=300          seconds after which a peer is stopped
  pruner=median    of the peers; or halving or none
  kills only:
  kills=10         at moments that seed=0 draws
  ready only:
  tables=FOLDER only=NAME,NAME   as of quality
  splits=1         of each table
  search='sweep=mlp sweep.minutes=3'   words of the search's command only
  overrides='trainer.max_epochs=50'   of all commands
  engines only:
  what=speedup     two workers beside one, on two cores
       overhead    each engine beside no engine, on one core
       start       each engine with many short stacks, on two cores
       bookkeeping the command of a large sweep, without training
  stacks=16 members=8 rows=5000   of the sweep; members: networks of a stack; not of bookkeeping
  epochs=20        of overhead and start
  speedup only:
  minutes=5        that one worker trains
  start only:
  stacks=2,8,32,64
  bookkeeping only:
  runs=10000       of the sweep
  members=1,32     networks of a stack
"""

import sys
from collections.abc import Sequence
from importlib.util import find_spec

from benchmarks.machine import pin
from benchmarks.report import Report

from mlplab.cli.arguments import print_usage, read_arguments
from mlplab.cli.terminal import exit_status
from mlplab.errors import Fault, UserError


def benchmark(name: str, words: Sequence[str]) -> None:
    """Measures, prints the table, and writes the file."""
    # What measures is imported here, in the pinned process: numeric libraries count their threads on import.
    needs = {
        **{"step": "sklearn", "sweep": "sklearn", "csv": "pandas", "quality": "pandas", "search": "pandas"},
        "engines": "ray",
    }
    peer = needs.get(name)
    if peer and not find_spec(peer):
        raise UserError(Fault(f"needs {peer}: uv run --extra bench scripts/benchmark.py {name}"))
    report: Report
    match name:
        case "step":
            from benchmarks import step

            report = step.measure(read_arguments(words, step.Step))
        case "sweep":
            from benchmarks import sweep

            report = sweep.measure(read_arguments(words, sweep.Sweep))
        case "stack":
            from benchmarks import stack

            report = stack.measure(read_arguments(words, stack.Stack))
        case "ensemble":
            from benchmarks import ensemble

            report = ensemble.measure(read_arguments(words, ensemble.Ensemble))
        case "devices":
            from benchmarks import devices

            report = devices.measure(read_arguments(words, devices.Devices))
        case "pictures":
            from benchmarks import pictures

            report = pictures.measure(read_arguments(words, pictures.Pictures))
        case "csv":
            from benchmarks import csv

            report = csv.measure(read_arguments(words, csv.Csv))
        case "predict":
            from benchmarks import predict

            report = predict.measure(read_arguments(words, predict.Predict))
        case "search":
            from benchmarks.search import measure as search

            report = search.measure(words)
        case "engines":
            from benchmarks.engines import measure as engines

            report = engines.measure(words)
        case "quality":
            from benchmarks.quality import measure as quality

            quality.measure(read_arguments(words, quality.Quality))
            return
        case _:
            known = "step, sweep, stack, ensemble, devices, pictures, csv, predict, search, engines, quality"
            raise UserError(Fault("unknown benchmark", found=name, expected=f"one of {known}"))
    report.show()


def main() -> None:
    """Reads the command line."""
    words = sys.argv[1:]

    def work() -> None:
        if not print_usage(words, __doc__):
            if words[0] != "devices":
                pin()
            benchmark(words[0], words[1:])

    status = exit_status(work)
    sys.exit(status if words else 2)


if __name__ == "__main__":
    main()
