"""Tables whose function and noise are known: 4,000 rows each (letters: 20,000), with the target `y` last."""
# mypy: disable-error-code="import-untyped"

from collections.abc import Collection
from string import ascii_lowercase, ascii_uppercase

import numpy as np
import polars as pl
from sklearn import datasets

ROWS, LETTERS = 4000, 20_000


def frame_of(x: np.ndarray, y: np.ndarray, **more: np.ndarray) -> pl.DataFrame:
    """Columns x0, x1, …, more inputs, and the target; whole numbers are classes."""
    classes = np.issubdtype(y.dtype, np.integer)
    target = pl.Series([f"class {label}" for label in y] if classes else y)
    return pl.DataFrame({f"x{number}": column for number, column in enumerate(x.T)} | more | {"y": target})


def _drawn(columns: int) -> tuple[np.random.Generator, np.ndarray]:
    """A generator of numbers, and inputs in [0, 1)."""
    drawn = np.random.default_rng(columns)
    return drawn, drawn.random((ROWS, columns))


def friedman2() -> pl.DataFrame:
    """Friedman's second function (impedance), with noise of 0.3 % of the target's standard deviation."""
    return frame_of(*datasets.make_friedman2(ROWS, noise=1, random_state=0))


def friedman3() -> pl.DataFrame:
    """Friedman's third function (phase), with noise of 10 % of the target's standard deviation."""
    return frame_of(*datasets.make_friedman3(ROWS, noise=0.03, random_state=0))


def linear() -> pl.DataFrame:
    """A sum of 10 columns with factors of 0.1 to 1, on a large offset; no noise."""
    _, x = _drawn(10)
    return frame_of(x, 100 + x @ np.linspace(0.1, 1, 10))


def linear_categories() -> pl.DataFrame:
    """A sum of columns of all sizes, and of the effects of two columns with 5 and 30 categories; no noise."""
    drawn, x = _drawn(6)
    sizes, y, more = 10.0 ** np.arange(-2, 4), x.sum(1), {}
    for name, count in (("few", 5), ("many", 30)):
        category = drawn.integers(count, size=ROWS)
        y += drawn.normal(size=count)[category]
        more[name] = np.array([f"{name} {number}" for number in range(count)])[category]
    return frame_of(x * sizes, y, **more)


def linear_noisy() -> pl.DataFrame:
    """20 columns, half of which count; half of the variance is noise."""
    drawn, x = _drawn(20)
    signal = (x[:, :10] - 0.5) @ np.linspace(0.5, 1.5, 10)
    return frame_of(x, signal + drawn.normal(0, signal.std(), ROWS))


def additive_noisy() -> pl.DataFrame:
    """A sum of curves of 4 of 8 columns; 60 % of the variance is noise."""
    drawn, x = _drawn(8)
    signal = np.sin(6 * x[:, 0]) + 2 * np.abs(x[:, 1] - 0.5) + x[:, 2] ** 2 + x[:, 3]
    return frame_of(x, signal + drawn.normal(0, signal.std() * np.sqrt(1.5), ROWS))


def robot_arm() -> pl.DataFrame:
    """The distance of the hand of an arm with three links from a point, by angles and lengths; no noise."""
    _, x = _drawn(8)
    angles, lengths = np.cumsum((x[:, :3] - 0.5) * np.pi, axis=1), 0.5 + x[:, 3:6]
    hand = [(lengths * wave(angles)).sum(1) for wave in (np.cos, np.sin)]
    return frame_of(x, np.hypot(hand[0] - x[:, 6], hand[1] - x[:, 7]))


def naval() -> pl.DataFrame:
    """The decay of a turbine, by 14 measurements that the ship's speed rules: smooth, almost equal, exact."""
    drawn, latent = _drawn(3)
    speed, compressor, turbine = 3 + 24 * latent[:, 0], 0.05 * latent[:, 1], 0.025 * latent[:, 2]
    power, of_compressor, of_turbine, of_both = drawn.uniform([0.5, -2, -2, -5], [3, 2, 2, 5], (14, 4)).T
    change = np.outer(compressor, of_compressor) + np.outer(turbine, of_turbine)
    change += np.outer(compressor * turbine, of_both) + np.outer(turbine * speed / 27, of_both)
    return frame_of(speed[:, None] ** power * (1 + change), 1 - turbine)


def borehole() -> pl.DataFrame:
    """The flow of water through a borehole (Morris, Mitchell and Ylvisaker, 1993); no noise."""
    _, x = _drawn(8)
    low = [0.05, 100, 63070, 990, 63.1, 700, 1120, 9855]
    high = [0.15, 50000, 115600, 1110, 116, 820, 1680, 12045]
    x = low + x * (np.array(high) - low)
    radius, influence, upper, upper_head, lower, lower_head, length, conductivity = x.T
    log = np.log(influence / radius)
    leak = 2 * length * upper / (log * radius**2 * conductivity)
    flow = 2 * np.pi * upper * (upper_head - lower_head) / (log * (1 + leak + upper / lower))
    return frame_of(x, flow)


def steps() -> pl.DataFrame:
    """Constant in boxes: the mean of five trees of five levels on 6 columns; noise of 5 %."""
    drawn, x = _drawn(6)
    y = np.zeros(ROWS)
    for _ in range(5):
        bits = [x[:, drawn.integers(6)] > drawn.uniform(0.2, 0.8) for _ in range(5)]
        y += drawn.normal(size=32)[np.array(bits).T @ 2 ** np.arange(5)]
    return frame_of(x, y + drawn.normal(0, 0.05 * y.std(), ROWS))


def clusters() -> pl.DataFrame:
    """Four classes of two clusters each in 8 of 15 columns, without wrong labels."""
    count = {"n_informative": 8, "n_redundant": 3, "n_classes": 4, "flip_y": 0.0}
    return frame_of(*datasets.make_classification(ROWS, 15, **count, random_state=0))


def clusters_noisy() -> pl.DataFrame:
    """Two classes of two clusters each in 5 of 20 columns; a fifth of the labels is drawn anew."""
    return frame_of(*datasets.make_classification(ROWS, 20, n_informative=5, flip_y=0.2, random_state=0))


def shells() -> pl.DataFrame:
    """Three classes by the distance from the centre in 8 columns."""
    count = {"n_samples": ROWS, "n_features": 8, "n_classes": 3}
    return frame_of(*datasets.make_gaussian_quantiles(**count, random_state=0))


def _letters(letters: str, fonts: Collection[str], seed: int) -> pl.DataFrame:
    """Letters of matplotlib's fonts, warped; 16 measures of each from 0 to 15, as by Frey & Slate (1991)."""
    from matplotlib.font_manager import fontManager  # imported here since other tables do without
    from PIL import Image, ImageDraw, ImageFont

    drawn, side, x = np.random.default_rng(seed), 56, list[list[float]]()
    files = sorted(f.fname for f in fontManager.ttflist if f.name in fonts and "mpl-data" in f.fname)
    labels = drawn.integers(len(letters), size=LETTERS)
    places = np.stack(np.meshgrid(*2 * [np.arange(side) - side / 2], indexing="xy")).reshape(2, -1)
    for label in labels:
        image = Image.new("L", (side, side))
        font = ImageFont.truetype(files[drawn.integers(len(files))], int(drawn.integers(18, 34)))
        at = tuple((side / 2 + drawn.normal(0, 2, 2)).tolist())
        ImageDraw.Draw(image).text(at, letters[label], fill=255, font=font, anchor="mm")
        squares = np.stack([places[0] ** 2, places[0] * places[1], places[1] ** 2])
        warped = (np.eye(2) + drawn.normal(0, 0.13, (2, 2))) @ places
        warped += drawn.normal(0, 0.004, (2, 3)) @ squares + side / 2
        column, row = warped.round().clip(0, side - 1).astype(int)
        ink = (np.asarray(image)[row, column] > 127).reshape(side, side)
        rows, columns = np.nonzero(ink)
        top, left, height, width = rows.min(), columns.min(), np.ptp(rows) + 1, np.ptp(columns) + 1
        u, v = (columns - left + 0.5) / width - 0.5, 0.5 - (rows - top + 0.5) / height
        edges = [np.argwhere(np.diff(ink, axis=axis, prepend=0) > 0)[:, axis] for axis in (1, 0)]
        moments = [m.mean() for m in (u, v, u * u, v * v, u * v, u * u * v, u * v * v)]
        box = [left + width / 2, top + height / 2, width, height, len(u) / (width * height)]
        x.append([*box, *moments, *(e for edge in edges for e in (len(edge) / height, edge.sum() / width))])
    low, high = np.quantile(x, [0.002, 0.998], axis=0)
    whole = ((np.array(x) - low) / (high - low) * 16).clip(0, 15).astype(int).astype(float)
    return frame_of(whole, labels)


def capitals() -> pl.DataFrame:
    """26 capital letters of fonts without serifs and of a typewriter."""
    return _letters(ascii_uppercase, {"DejaVu Sans", "DejaVu Sans Mono", "cmr10", "cmtt10"}, 1)


def small_letters() -> pl.DataFrame:
    """26 small letters of other fonts."""
    return _letters(ascii_lowercase, {"DejaVu Serif", "STIXGeneral", "cmss10", "cmb10"}, 2)


def _in_words(codes: np.ndarray, letters: str, y: np.ndarray) -> pl.DataFrame:
    """Columns of categories, whose numbers are places in `letters`, and the target."""
    columns = {f"x{number}": np.array([*letters])[column] for number, column in enumerate(codes.T)}
    return pl.DataFrame({**columns, "y": [f"class {label}" for label in y]})


def _planted(columns: int, letters: str, motifs: int, share: float) -> pl.DataFrame:
    """Random letters; a class for each of some motifs that are planted in the middle, and one for none.

    A letter of a motif is planted with a probability that falls from the middle to both ends.
    """
    drawn, rows, middle = np.random.default_rng(columns), 4000, columns // 2
    codes, y = drawn.integers(len(letters), size=(rows, columns)), drawn.integers(motifs + 1, size=rows)
    chances = share * np.exp(-np.abs(np.arange(columns) - middle) / 4)
    for label, motif in enumerate(drawn.integers(len(letters), size=(motifs, columns))):
        is_planted = (y == label)[:, None] & (drawn.random(codes.shape) < chances)
        codes = np.where(is_planted, motif, codes)
    return _in_words(codes, letters, y)


def splices() -> pl.DataFrame:
    """Two motifs or none in 60 places of four letters."""
    return _planted(60, "ACGT", 2, 0.9)


def proteins() -> pl.DataFrame:
    """Five motifs or none in 30 places of eight letters."""
    return _planted(30, "ABCDEFGH", 5, 0.7)


def answers() -> pl.DataFrame:
    """40 answers of five levels to a questionnaire, which four overlapping types of people give."""
    drawn = np.random.default_rng(40)
    means, y = drawn.normal(0, 0.5, size=(4, 40)), drawn.integers(4, size=2000)
    said = np.digitize(means[y] + drawn.normal(size=(2000, 40)), [-1.5, -0.5, 0.5, 1.5])
    return _in_words(said, "abcde", y)


def votes() -> pl.DataFrame:
    """25 votes, with abstentions; five parties of unequal size, whose lines differ in some of them."""
    drawn = np.random.default_rng(25)
    lines, y = (
        drawn.dirichlet([0.8, 0.8, 0.3], size=(5, 25)),
        drawn.choice(5, 1500, p=[0.4, 0.3, 0.15, 0.1, 0.05]),
    )
    below = lines.cumsum(2)[y] < drawn.random((1500, 25, 1))
    return _in_words(below.sum(2).clip(max=2), "yn-", y)


def rules() -> pl.DataFrame:
    """Three classes by which pairs of 20 columns of three letters are equal; 5 % of the labels are others."""
    drawn = np.random.default_rng(20)
    codes = drawn.integers(3, size=(4000, 20))
    y = (codes[:, :6:2] == codes[:, 1:6:2]).sum(1).clip(max=2)
    y = np.where(drawn.random(4000) < 0.05, drawn.integers(3, size=4000), y)
    return _in_words(codes, "pqr", y)
