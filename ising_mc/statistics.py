"""Means, errors and autocorrelation times of Monte Carlo time series.

Every series has the shape (replica, sweep): independent replicas of equal length, each of them stationary.
Errors follow from the Gamma method of U. Wolff (Comput. Phys. Commun. 156, 143 (2004), hep-lat/0306017),
carried over to means of finite replicas. Let G(t) be the average over all N = R n values of the product of
deviations t sweeps apart in one replica, counted as zero where the replica has ended. Then

    variance of the mean = C(W) / (N - K(W)),  C(W) = sum_{|t| <= W} G(t),  K(W) = sum_{|t| <= W} (1 - |t|/n),

where K corrects for having subtracted the estimated mean, and N/K(W) - 1 counts the degrees of freedom.
Both ends are textbook statistics: W = 0 is the error of white noise with N - 1 degrees of freedom, and
W = n - 1 is exactly the scatter of the R replica means with R - 1.

How W is chosen:

1. Wolff's automatic window (S = 2) gives tau_int. It is believed if it closes, and if N >= 25 tau_int (with
   8 or more replicas: n >= 8 tau_int).
2. The error takes the widest window with 30 degrees of freedom left, if that is wider: then the error bar
   is uncertain by an eighth, but a slow mode of small amplitude behind a fast decay cannot hide. With more
   than 30 replicas this is always the scatter of their means.
3. If the window is not believed and there are at least 8 replicas, the scatter of their means is the error,
   and tau_int is NaN. With fewer replicas nothing can be said: error and tau_int are NaN.

Measured on AR(1) series: the 68.27 % and 95 % intervals of a mean cover the truth to within 2 % for N >= 50
tau, and for 8 or more replicas of any length. Fewer with N = 10 to 20 tau cannot always be told
from longer ones: when they do report an error, it is on average too small. No window finds a mode that the
data have not yet shown. Functions of means have skewed estimates: with N = 50 tau, the 95 % interval of a
variance covers 91 to 93 %; that of a Binder cumulant near 0 covers 87 to 89 % with N = 80 tau, 94 % with 800.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import floor, inf, isfinite, log10, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, fdtrc, stdtr, stdtrit

from ising_mc.kernels.series import LAGS, add_lagged_products, look_through, sum_blocks

__all__ = [
    "Agreement",
    "Estimate",
    "TimeSeries",
    "autocorrelation",
    "compare_halves",
    "compare_replicas",
    "format_value",
    "jackknife",
    "mean",
    "share",
    "share_interval",
]

Floats = NDArray[np.float64]

ONE_SIGMA = 0.6826894921370859  # probability of one standard deviation of a Gaussian
WINDOW_SCALE = 2.0  # Wolff's S: decay time over tau_int; 1.5 leaves twice the bias at 50 tau
MIN_TAUS = 25.0  # length of all replicas, in tau_int, below which a window is not believed
MIN_REPLICA_TAUS = 8.0  # the same for each of MIN_REPLICAS or more
MIN_VALUES = 32  # fewer values cannot show an autocorrelation
MIN_REPLICAS = 8  # from here on the scatter of replica means is an error by itself
MIN_DOF = 2.0  # windows that leave less are not tried
ENOUGH_DOF = 30.0  # more do not narrow an interval by more than 2 %
PLAIN_LAGS = 16, 48, 128  # tried one after the other, each lag by itself; for more, spectra are faster
AT_ONCE = 16  # replicas whose spectra are in memory
MAX_BLOCKS = 1024  # of the jackknife; more cost time and tell nothing


@dataclass(frozen=True)
class Estimate:
    """A number with an honest error; where none can be had, all but `value` is NaN and `reliable` is False.

    `error` is half of the 68.27 % interval: Student's factor for `degrees_of_freedom` is already in it.
    `tau_int` and its one-sigma error are in units of the sampling interval, 1/2 for white noise (Sokal);
    they alone are NaN where only the scatter of replicas is known.
    """

    value: float
    error: float
    tau_int: float
    tau_int_error: float
    degrees_of_freedom: float
    reliable: bool

    def times(self, factor: float) -> Estimate:
        """The estimate of the quantity times a number that is known exactly."""
        return replace(self, value=factor * self.value, error=abs(factor) * self.error)

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Lower and upper end of the interval that covers the truth with probability `level`."""
        if not 0 < level < 1:
            raise ValueError(f"level must be between 0 and 1, not {level}")
        half = _standard_error(self) * _student(level, self.degrees_of_freedom)
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Agreement:
    """Difference of two means in standard errors, and the two-sided probability of at least that much."""

    z: float
    p_value: float


class TimeSeries:
    """A series that was looked through, and need not be again by any function here that takes it.

    values: (replica, sweep) float64;  centre: their mean;  varies: whether they are not all the same;  replica_sums,
    squares: sums of deviations from the mean, and of their squares.
    """

    def __init__(self, series: ArrayLike) -> None:
        """Raises ValueError if `series` is not a finite, two-dimensional array."""
        x = np.require(series, np.float64, ["C", "A", "W"])  # of one kind, for which kernels are compiled; often itself
        if x.ndim != 2 or x.size == 0:
            raise ValueError(f"a series must have the shape (replica, sweep), not {x.shape}")
        self.values, self.replica_sums = x, np.empty(len(x))
        self.centre, self.squares, constant = look_through(x, self.replica_sums)
        if not isfinite(self.centre) and not np.isfinite(x).all():  # else their sum is too large
            raise ValueError("a series must be finite, this one holds NaN or infinity")
        self.varies = not constant

    @cached_property
    def deviations(self) -> _Deviations:
        """From the mean."""
        return _Deviations([self])


class _Spread(NamedTuple):
    """What the autocorrelations of a series tell about its mean."""

    variance: float  # of the mean
    degrees_of_freedom: float
    tau_int: float
    tau_int_error: float
    window: int


_UNKNOWN = _Spread(nan, nan, nan, nan, 0)


def autocorrelation(series: ArrayLike | TimeSeries) -> Floats:
    """Return the normalised autocorrelation function, averaged over the replicas.

    `series` has the shape (replica, sweep); the result has one value for each lag 0 ... n-1 and starts with
    1. The centre is the mean over all replicas, so values are too low by about 2 tau_int/N of the total
    length N. A constant series gives NaN. Raises ValueError if `series` is not a finite, two-dimensional
    array.
    """
    x = _checked(series)
    replicas, n = x.values.shape
    if not (x.varies and x.deviations.scale > 0):
        return np.full(n, nan)
    products = _spectral_products(x.deviations.scaled(), (replicas, n), n, np.float64) / (replicas * (n - np.arange(n)))
    normalised: Floats = products / products[0]
    return normalised


def mean(series: ArrayLike | TimeSeries) -> Estimate:
    """Return the mean over replicas and sweeps, with its error and tau_int as the module docstring says.

    `series` has the shape (replica, sweep). A constant series has no error that could be told: NaN, never 0.
    Raises ValueError if `series` is not a finite, two-dimensional array.
    """
    return _mean(_checked(series))


def jackknife(function: Callable[..., Any], *series: ArrayLike | TimeSeries) -> Estimate:
    """Return f(<a>, <b>, ...) of simultaneously measured series a, b, ..., with its error and tau_int.

    `function` takes one array of means for each series, all of one shape (k,), and returns an array of that
    shape: plain arithmetic does. Each series has the shape (replica, sweep). The series linearised around
    the means, sum_k df/da_k (a_k - <a_k>), is analysed like any other, which gives tau_int and the length
    of the blocks: as long as the window, and never across replicas. The jackknife over these blocks
    corrects the value for its bias, the error for the curvature of f, and the degrees of freedom for skewed
    or heavy-tailed blocks. Where f is not finite nearby, nothing is known: NaN. Raises ValueError if the
    series are not finite or differ in shape.

    M. H. Quenouille, Biometrika 43, 353 (1956); for the linearisation see section 3 of Wolff.
    """
    data = [_checked(s) for s in series]
    shapes = [one.values.shape for one in data]
    if len(set(shapes)) != 1:
        raise ValueError(f"series must have one common shape, not {shapes}")
    with np.errstate(all="ignore"):  # outside the domain of f the result is NaN, which says enough
        return _jackknife(function, data)


def compare_halves(first: ArrayLike | TimeSeries, second: ArrayLike | TimeSeries) -> Agreement:
    """Compare the means of two independent sets of replicas, say those started all up and those at random.

    Both have the shape (replica, sweep); the numbers of replicas may differ. The p-value follows from
    Welch's t test with the effective degrees of freedom of both errors. If one set never changed, it has no
    error of its own and the other's, which under equal distributions is as good, stands for it. NaN if an
    error cannot be told. Raises ValueError if an array is not finite and two-dimensional.
    """
    x, y = _checked(first), _checked(second)
    a, b = _mean(x, asks_tau=False), _mean(y, asks_tau=False)
    ratio = y.values.size / x.values.size
    if not x.varies:
        a = _borrow_error(a, b, ratio)
    elif not y.varies:
        b = _borrow_error(b, a, 1 / ratio)
    if not (a.reliable and b.reliable):
        return Agreement(nan, nan)
    u, v = _standard_error(a) ** 2, _standard_error(b) ** 2
    z = (a.value - b.value) / sqrt(u + v)
    dof = (u + v) ** 2 / (u**2 / a.degrees_of_freedom + v**2 / b.degrees_of_freedom)
    return Agreement(z, float(2 * stdtr(dof, -abs(z))))


def compare_replicas(series: ArrayLike | TimeSeries, parts: int = 4) -> Agreement:
    """Whether replicas differ by more than each of them varies in time: a replica stuck in a state of its own does.

    Analysis of variance of the means of `parts` successive parts of each replica, (replica, part): F has R - 1 and
    R (parts - 1) degrees of freedom.  Replicas shorter than some 10 tau_int differ too: nothing then says that they
    sample the same distribution.  `z` is sqrt(F).  Both are NaN with one replica or fewer than 2 * parts values, or
    where nothing varies.  Raises ValueError as `mean` does.  Source: Gelman and Rubin, Stat. Sci. 7, 457 (1992).
    """
    own = _checked(series)
    x = own.values
    replicas, length = len(x), x.shape[1] // parts
    if replicas < 2 or length < 2:
        return Agreement(nan, nan)
    means = x[:, : parts * length].reshape(replicas, parts, length).mean(axis=2)
    between = parts * means.mean(axis=1).var(ddof=1)
    within = means.var(axis=1, ddof=1).mean()
    largest = abs(own.centre) + sqrt(own.squares)  # no value is larger
    rounding = (8 * np.finfo(float).eps * largest) ** 2  # a mean of equal values need not be their value
    if within <= rounding:
        return Agreement(nan, nan) if between <= parts * rounding else Agreement(inf, 0.0)
    ratio = float(between / within)
    return Agreement(sqrt(ratio), float(fdtrc(replicas - 1, replicas * (parts - 1), ratio)))


def share(hits: int, number: int) -> tuple[float, float]:
    """The share of independent tries that hit, and half of its 68.27 % interval.

    The interval is that of the binomial likelihood with Jeffreys' prior (Brown, Cai and DasGupta, Stat. Sci. 16, 101,
    2001), so that it is not empty where none or all hit.
    """
    low, high = share_interval(hits, number)
    return hits / number, (high - low) / 2


def share_interval(hits: int, number: int) -> tuple[float, float]:
    """The ends of the 68.27 % interval of a share (see `share`)."""
    a, b = hits + 0.5, number - hits + 0.5
    return float(betaincinv(a, b, (1 - ONE_SIGMA) / 2)), float(betaincinv(a, b, (1 + ONE_SIGMA) / 2))


def format_value(value: float, error: float) -> str:
    """Write a value with the error of its last digits in brackets: -1.41902(7), 0.1234(15), 1234.5(1.2).

    The error gets two digits if the first is a 1, else one. Where brackets hold a decimal point they are in
    the units of the value. An unknown error is written 0.1234(?); very large or small numbers get an
    exponent: 1.23(4)e-07.
    """
    if not isfinite(value):
        return f"{value}"
    if not isfinite(error) or error < 0:
        return f"{value:.4g}(?)"
    if error == 0:
        return f"{value:g}(0)"
    size = floor(log10(max(abs(value), error)))
    if size < -4 or size > 14:
        return f"{format_value(value / 10.0**size, error / 10.0**size)}e{size:+03d}"
    mantissa, exponent = f"{error:.1e}".split("e")
    if mantissa[0] != "1":  # one digit; 0.096 becomes 0.10 and so has two after all
        mantissa, exponent = f"{error:.0e}".split("e")
    decimals = int(exponent) * -1 + (mantissa[0] == "1")
    rounded = round(error, decimals)
    if decimals <= 0:
        return f"{round(value, decimals):.0f}({rounded:.0f})"
    inside = f"{rounded:.{decimals}f}" if rounded >= 1 else f"{round(rounded * 10**decimals)}"
    return f"{value:.{decimals}f}({inside})"


def _checked(series: ArrayLike | TimeSeries) -> TimeSeries:
    return series if isinstance(series, TimeSeries) else TimeSeries(series)


def interval_factor(dof: float) -> float:
    """Half of the 68.27 % interval, in standard errors that have `dof` degrees of freedom."""
    return _student(ONE_SIGMA, dof)


def _student(level: float, dof: float) -> float:
    """Half-width, in standard errors, of the interval of probability `level`."""
    return float(stdtrit(dof, (1 + level) / 2))


def _standard_error(estimate: Estimate) -> float:
    return estimate.error / _student(ONE_SIGMA, estimate.degrees_of_freedom)


def _mean(series: TimeSeries, asks_tau: bool = True) -> Estimate:
    return _estimate(series.centre, _spread(series.deviations, asks_tau) if series.varies else _UNKNOWN)


def _estimate(value: float, spread: _Spread) -> Estimate:
    variance, dof, tau, tau_error, _ = spread
    reliable = isfinite(variance) and isfinite(value)
    if not reliable:
        return Estimate(value, nan, nan, nan, nan, False)
    return Estimate(value, sqrt(variance) * _student(ONE_SIGMA, dof), tau, tau_error, dof, True)


def _borrow_error(constant: Estimate, other: Estimate, ratio: float) -> Estimate:
    return replace(other, value=constant.value, error=other.error * sqrt(ratio))


class _Deviations:
    """Deviations of one or more series from their means, times slopes, added up: d = sum_k slope_k (x_k - <x_k>).

    They are never written to memory as a whole, which costs more than making them again.
    """

    def __init__(self, series: Sequence[TimeSeries], slopes: Sequence[float] | None = None) -> None:
        """slopes: those of several series; that of one is 1."""
        self.values = tuple(one.values for one in series)
        self.slopes = np.ones(1) if slopes is None else np.array(slopes, dtype=float)
        self.centres = np.array([one.centre for one in series])
        self.shape = self.values[0].shape
        if slopes is None:
            self.replica_sums, self.squares = series[0].replica_sums, series[0].squares
        else:
            sums, self.squares = self.sums(np.array([0, self.shape[1]]))
            self.replica_sums = sums[:, 0]
        self.scale = sqrt(self.squares / (self.shape[0] * self.shape[1]))  # 0 also where squares are too small

    def sums(self, edges: NDArray[np.intp]) -> tuple[Floats, float]:
        """Sums of d over the sweeps between `edges`, (replica, block), and that of d^2 over all."""
        sums = np.empty((self.shape[0], len(edges) - 1))
        squares = sum_blocks(self.values, self.slopes, self.centres, edges, sums)
        return sums, float(squares)

    def products(self, known: Floats, lags: int) -> Floats:
        """Sums of d(s) d(s + t) over sweeps and replicas, for all t < `lags`; known: those for the first lags.

        One lag after the other costs less than a spectrum if they are few.  Products in float32 are off by less
        than 1e-5 of the sum of squares, mostly 1e-7, which is next to nothing beside statistical errors.
        """
        if not self.scale > 0:
            return np.zeros(lags)
        square = self.scale * self.scale
        if lags > PLAIN_LAGS[-1]:
            products = square * _spectral_products(self.scaled(), self.shape, lags)
        else:
            more = np.zeros(-(-(lags - len(known)) // LAGS) * LAGS)
            add_lagged_products(self.values, self.slopes / self.scale, self.centres, len(known), more)
            products = np.concatenate([known, square * more])[:lags]
        products[0] = self.squares
        return products

    def scaled(self) -> Iterator[Floats]:
        """d over its root mean square, for some replicas at a time."""
        for first in range(0, self.shape[0], AT_ONCE):
            parts = zip(self.values, self.slopes / self.scale, self.centres, strict=True)
            yield sum(slope * (x[first : first + AT_ONCE] - centre) for x, slope, centre in parts)


def _spectral_products(
    deviations: Iterable[Floats], shape: tuple[int, int], lags: int, precision: type = np.float32
) -> Floats:
    """Sums of d(s) d(s + t) over sweeps and replicas, for t < `lags`, from deviations of some replicas at a time."""
    from scipy import fft  # here, because it takes long to import and is needed for slow series only

    replicas, n = shape
    size = fft.next_fast_len(n + lags - 1, real=True)  # zeros behind each replica keep its ends apart
    power = np.zeros(size // 2 + 1)
    padded: NDArray[Any] = np.zeros((min(AT_ONCE, replicas), size), precision)
    for some in deviations:
        padded[: len(some), :n] = some
        parts: NDArray[Any] = fft.rfft(padded[: len(some)], axis=1).view(precision)  # real and imaginary ones, in turn
        np.multiply(parts, parts, out=parts)
        power += parts.sum(axis=0).reshape(-1, 2).sum(axis=1)
    products: Floats = fft.irfft(power, size)[:lags]
    return products


def _spread(deviations: _Deviations, asks_tau: bool = True) -> _Spread:
    """Analyse deviations from the mean, of shape (replica, sweep) and not all zero.

    asks_tau: whether tau_int is wanted where the error does without it.
    """
    replicas, n = deviations.shape
    total = replicas * n
    edge, k, dof, widest = _windows(replicas, n)
    needed = widest + 1 if widest < n - 1 else 0
    tau = tau_error = nan
    products, c, window = np.zeros(0), np.zeros(0), 0
    # few lags will do in most cases, and cost a fraction of all
    for reach in (*PLAIN_LAGS, max(n // 8, needed), n) if asks_tau or needed else ():
        if reach < needed or not len(products) < reach <= n:
            continue
        products = deviations.products(products, reach)
        if not products[0] > 0:
            return _UNKNOWN
        c = (2 * np.cumsum(products) - products[0] - edge[:reach] * products) / total
        tau, tau_error, window = _automatic_window(products, c, k[:reach], replicas, n)
        if window:
            break
    if isfinite(tau):
        window = max(window, widest)
    elif replicas >= MIN_REPLICAS:
        window = n - 1
    else:
        return _UNKNOWN
    within = float(np.sum(deviations.replica_sums**2)) / total if window == n - 1 else float(c[window])
    variance = within / (total - k[window])
    if not variance > 0:
        return _UNKNOWN
    return _Spread(float(variance), float(dof[window]), tau, tau_error, window)


@lru_cache(maxsize=2)  # all series of a run are alike
def _windows(replicas: int, n: int) -> tuple[Floats, Floats, Floats, int]:
    """Of every window W < n: weight of its last lag, K(W), degrees of freedom; and the widest that leaves enough."""
    # Half weight for the last lag of a window keeps the sum from turning negative where neighbours are
    # anticorrelated; the widest window takes it in full, to be the scatter of the replica means exactly.
    lags, edge = np.arange(n), np.ones(n)
    edge[[0, -1]] = 0.0
    k = 2 * lags + 1 - lags * (lags + 1) / n - edge * (1 - lags / n)
    dof = replicas * n / k - 1
    return edge, k, dof, int(np.count_nonzero(dof >= ENOUGH_DOF)) - 1


def _automatic_window(products: Floats, c: Floats, k: Floats, replicas: int, n: int) -> tuple[float, float, int]:
    """Return tau_int, its error and its window (Wolff, section 3.3).

    tau_int and error are NaN if they cannot be believed; the window is 0 if it does not close within these lags.
    """
    total = replicas * n
    tried = int(np.count_nonzero(total / k - 1 >= MIN_DOF))
    if tried < 2 or total < MIN_VALUES:
        return nan, nan, 0
    lags = np.arange(tried)
    # Having subtracted the estimated mean lowers every correlation by the variance of that mean.
    lowered = c[:tried] / (total - k[:tried])
    gamma = products[:tried] / (total - replicas * lags)
    tau = (np.cumsum(gamma) - (gamma[0] + gamma) / 2 + lags * lowered) / (gamma[0] + lowered)
    w = lags[1:]
    # Decay time of an exponential with this tau_int; where that is below 1/2, correlations end at once.
    ratio = np.maximum(tau[1:], 0.5 + 1e-9)
    decay = WINDOW_SCALE / np.log((2 * ratio + 1) / (2 * ratio - 1))
    closed = np.exp(-w / decay) < decay / np.sqrt(w * total)
    if not closed.any():
        return nan, nan, 0
    window = int(np.argmax(closed)) + 1
    found = float(tau[window])
    # With many replicas the scatter of their means stands ready, and one can afford to ask for more.
    enough = total >= MIN_TAUS * found if replicas < MIN_REPLICAS else n >= MIN_REPLICA_TAUS * found
    if not enough:
        return nan, nan, window
    return found, found * 2 * sqrt(max(window + 0.5 - found, 0.5) / total), window


def _jackknife(function: Callable[..., Any], data: list[TimeSeries]) -> Estimate:
    replicas, n = data[0].values.shape
    centre = np.array([one.centre for one in data])
    # A constant series must not look alive through the rounding of its mean.
    squares = [one.squares if one.varies else 0.0 for one in data]
    step = np.sqrt(squares) / (replicas * n)
    shifts = np.concatenate([np.zeros((1, len(data))), np.diag(step), -np.diag(step)])
    results = np.asarray(function(*(centre + shifts).T), dtype=np.float64)
    plain = float(results[0])
    up, down = results[1:].reshape(2, len(data))
    gradient = np.divide(up - down, 2 * step, out=np.zeros_like(step), where=step > 0)
    if not np.isfinite(gradient).all() or not gradient.any():
        return _estimate(plain, _UNKNOWN)
    alive = np.flatnonzero(gradient)
    spread = _spread(_Deviations([data[k] for k in alive], gradient[alive]))
    if not isfinite(spread.variance):
        return _estimate(plain, _UNKNOWN)

    length = max(spread.window + 1, -(-replicas * n // MAX_BLOCKS))
    edges = np.linspace(0, n, max(n // length, 1) + 1).astype(np.intp)
    rest = replicas * n - np.tile(np.diff(edges), replicas)
    # changes of the means where a block is left out
    without = [-one.deviations.sums(edges)[0].ravel() / rest for one in data]
    straight = sum(slope * change for slope, change in zip(gradient, without, strict=True))
    values = np.asarray(function(*(average + change for average, change in zip(centre, without, strict=True))))
    # What is linear has no bias; taken away, it leaves no noise from blocks of unequal length.
    bias = (len(values) - 1) * (float(np.mean(values - straight)) - plain)
    curvature = float(np.var(values) / np.var(straight))
    freedom = 1 / (1 / spread.degrees_of_freedom + _asymmetry(straight))
    spread = spread._replace(variance=spread.variance * curvature, degrees_of_freedom=freedom)
    return _estimate(plain - bias, spread)


def _asymmetry(x: Floats) -> float:
    """Return what a skewed or heavy-tailed sample adds to the inverse of the degrees of freedom.

    P. Hall (The Bootstrap and Edgeworth Expansion, section 2.6) expands the coverage of Student's interval:
    the square of the skewness counts at 95 %, the kurtosis at 68 %. This sum, set by experiment, serves both.
    """
    z = (x - x.mean()) / x.std()
    skewness, kurtosis = float(np.mean(z * z * z)), float(np.mean(np.square(z * z))) - 3
    return (skewness**2 + max(kurtosis, 0.0) / 2) / len(x)
