"""Learning of Boltzmann machines: what an epoch of contrastive divergence does, in float32.

States and means of binary units lie in {0, 1} and [0, 1], those of spins in {-1, +1} and [-1, 1].  Chains follow
Hinton, Neural Comput. 14, 1771 (2002) from the data (CD), and Tieleman, ICML 2008, from where they were (PCD); with
several inverse temperatures they are exchanged (Desjardins et al., AISTATS 2010).
"""

import numpy as np

from ising_mc.kernels._jit import jit, jit_inline, jit_owning
from ising_mc.kernels.logistic import (
    C1,
    C2,
    C3,
    C4,
    C5,
    C6,
    LANES,
    ONE,
    RANDOM,
    SHIFT,
    ZERO,
    _1,
    draw,
)
from ising_mc.kernels.sums import times, transposed, turned_times
from ising_mc.kernels.xoroshiro import next_bits

_0, _2, _HALF = np.float32(0.0), np.float32(2.0), np.float32(0.5)
_64, BRACKETS = np.uint64(LANES), np.uint64(4096)  # of these, 512 go into one product of 2**512 at most
LOG2E, FAR = np.float32(1.4426950408889634), np.float32(60.0)
TO_UNIT = np.float32(2.0**-24)
UNIFORM = 2.0**-53


@jit_inline
def exponential(x):
    """exp(x) to a relative 2e-7 + 8e-8 |x| in float32, where |x| < 41; see `kernels.logistic`."""
    y = min(max(np.float32(x * LOG2E), -FAR), FAR)
    shifted = np.float32(y + SHIFT)
    r = np.float32(y - np.float32(shifted - SHIFT))
    p = np.float32(C6 * r + C5)
    p = np.float32(p * r + C4)
    p = np.float32(p * r + C3)
    p = np.float32(p * r + C2)
    p = np.float32(p * r + C1)
    p = np.float32(p * r + _1)
    return np.int32(p.view(np.int32) + np.int32(shifted.view(np.int32) << 23)).view(np.float32)


@jit_inline
def sigmoid(x):
    """1/(1 + exp(-x)), likewise."""
    e = exponential(x)
    return np.float32(e / np.float32(e + _1))


@jit
def means_of(inputs, biases, betas, spin):
    """Means of units (rows, n) in place of their inputs without biases; betas: (rows,), 1/T of each."""
    for r in range(inputs.shape[0]):
        row, beta = inputs[r], betas[r]
        if spin:
            for j in range(len(row)):
                row[j] = np.float32(_2 * sigmoid(np.float32(_2 * beta * np.float32(row[j] + biases[j]))) - _1)
        else:
            for j in range(len(row)):
                row[j] = sigmoid(np.float32(beta * np.float32(row[j] + biases[j])))


@jit
def draw_states(means, states, spin, scratch):
    """States of units (any number) from their means, both flat and contiguous; scratch: of `kernels.logistic`."""
    lanes = scratch.view(np.uint32)
    low = np.float32(-1.0) if spin else _0
    half = _HALF if spin else _1
    n = np.uint64(len(means))
    for first in range(ZERO, n, _64):
        draw(scratch)
        for k in range(min(_64, n - first)):
            u = np.float32(np.float32(np.int32(lanes[RANDOM + k] >> np.uint32(8))) * TO_UNIT)
            states[first + k] = _1 if u < np.float32(np.float32(means[first + k] - low) * half) else low


@jit_owning
def cost_of_turning(inputs, biases, W, which, change, spin, out):
    """By how much free energies (rows,) rise, but for visible biases, when unit which[r] moves by change[r].

    inputs: (rows, n_h), those of hidden units without their biases (n_h,);  W: (n_v, n_h).  Over the states of a unit
    exp(x u) sums up to exp((x + |x|)/2) (1 + exp(-|x|)) if it is binary, exp(|x|) (1 + exp(-2 |x|)) if it is a spin;
    the logarithm is taken of products of the brackets.
    """
    lanes = np.empty(2 * LANES, np.float32)  # products, then what stands before the brackets
    scale, n = np.float32(-2.0 if spin else -1.0), np.uint64(len(biases))
    for r in range(np.uint64(len(out))):
        row, more, delta = inputs[r], W[which[r]], change[r]
        out[r] = 0.0
        for start in range(ZERO, n, BRACKETS):
            lanes[:_64] = _1
            lanes[_64:] = _0
            end = min(n, start + BRACKETS)
            for first in range(start, end, _64):
                for k in range(min(_64, end - first)):
                    x = np.float32(row[first + k] + biases[first + k])
                    y = np.float32(x + np.float32(delta * more[first + k]))
                    p, q = np.float32(abs(x)), np.float32(abs(y))
                    above = np.float32(_1 + exponential(np.float32(scale * p)))
                    below = np.float32(_1 + exponential(np.float32(scale * q)))
                    lanes[k] *= np.float32(above / below)
                    before = np.float32(p - q) if spin else np.float32(_HALF * np.float32(x + p - y - q))
                    lanes[_64 + k] += before
            for k in range(ZERO, _64, np.uint64(8)):
                product = 1.0
                for j in range(np.uint64(8)):
                    product *= lanes[k + j]
                    out[r] += lanes[_64 + k + j]
                out[r] += np.log(product)


@jit_owning
def exchange(visible, hidden, inputs, net, betas, ladders, generator):
    """One round of swaps between neighbouring inverse temperatures: row t * ladders + r is number t of ladder r.

    inputs: (rows, n_v), those of the visible units without biases, which tell the energies;  generator: (4,), its two
    words, then how many swaps were tried, and how many made.
    """
    _, b, c = net
    rows = len(betas)
    energies = np.empty(rows)
    for r in range(rows):
        total = 0.0
        for i in range(len(b)):
            total -= visible[r, i] * (inputs[r, i] + b[i])
        for j in range(len(c)):
            total -= hidden[r, j] * c[j]
        energies[r] = total
    a, d = generator[0], generator[1]
    for start in range(2):
        for one in range(start * ladders, rows - ladders, 2 * ladders):
            for r in range(one, one + ladders):
                other = r + ladders
                x = (betas[r] - betas[other]) * (energies[r] - energies[other])
                generator[2] += ONE
                bits, a, d = next_bits(a, d)
                if x >= 0 or np.float64(bits >> np.uint64(11)) * UNIFORM < np.exp(x):
                    generator[3] += ONE
                    energies[r], energies[other] = energies[other], energies[r]
                    for i in range(len(b)):
                        visible[r, i], visible[other, i] = visible[other, i], visible[r, i]
                    for j in range(len(c)):
                        hidden[r, j], hidden[other, j] = hidden[other, j], hidden[r, j]
    generator[0], generator[1] = a, d


@jit_owning
def walk(visible, hidden, net, betas, ladders, steps, spin, scratch, generator):
    """Steps of block Gibbs sampling: visible units from hidden ones, exchange, hidden ones from visible ones.

    visible: (rows, n_v);  hidden: (rows, n_h) states, and afterwards the last ones;  returns the means of these.
    """
    W, b, c = net
    inputs, means = np.empty_like(visible), np.empty_like(hidden)
    own, turned = np.empty_like(visible), transposed(W)
    for _ in range(steps):
        times(hidden, turned, inputs, spin)
        own[:] = inputs
        means_of(own, b, betas, spin)
        draw_states(own.reshape(-1), visible.reshape(-1), spin, scratch)
        if ladders < len(betas):
            exchange(visible, hidden, inputs, net, betas, ladders, generator)
        times(visible, W, means, spin)
        means_of(means, c, betas, spin)
        draw_states(means.reshape(-1), hidden.reshape(-1), spin, scratch)
    return means


@jit
def column_means(values, out):
    """Mean of each column (n,) of rows (rows, n)."""
    out[:] = _0
    for r in range(values.shape[0]):
        for j in range(values.shape[1]):
            out[j] += values[r, j]
    for j in range(len(out)):
        out[j] /= np.float32(values.shape[0])


@jit_owning
def step(values, moved, slope, rate, momentum, l1, l2):
    """Follow a gradient, with momentum, and L1 and L2 decay, all flat; the square of its norm."""
    sums = np.zeros(LANES, np.float32)  # one after the other they would wait for each other
    n = np.uint64(len(values))
    for first in range(ZERO, n - n % _64, _64):
        for k in range(_64):
            sums[k] += slope[first + k] * slope[first + k]
    for k in range(n - n % _64, n):
        sums[ZERO] += slope[k] * slope[k]
    for k in range(n):
        g = np.float32(slope[k] - np.float32(l2 * values[k]) - np.float32(l1 * np.float32(np.sign(values[k]))))
        moved[k] = np.float32(np.float32(momentum * moved[k]) + np.float32(rate * g))
        values[k] = np.float32(values[k] + moved[k])
    return np.float64(sums.sum())


@jit_owning
def epoch(data, order, batch, net, velocity, offsets, chains, betas, method, settings, spin, scratch, generator):
    """One epoch of a restricted machine; the mean norm of its gradients.

    data: (D, n_v);  order: (D,), of the examples;  net: weights (n_v, n_h) and biases (n_v,), (n_h,), float32, changed
    here, as are velocity, alike;  offsets: (n_v,), (n_h,), the centres, moved along where settings say so;  chains:
    visible and hidden states (rows, n) each, persistent;  betas: (rows,);  method: (steps, ladders, whether chains
    begin at the data, whether gradients are centred);  settings: rate, momentum, l1, l2, speed of the centres.
    """
    W, b, c = net
    steps, ladders, at_data, centred = method
    rate, momentum, l1, l2, speed = settings
    n_v, n_h, total = len(b), len(c), len(order)
    ones = np.ones(batch, np.float32)
    gradient = (np.empty_like(W), np.empty_like(b), np.empty_like(c))
    model = (np.empty_like(b), np.empty_like(c))
    norms, batches = 0.0, 0
    for first in range(0, total, batch):
        count = min(batch, total - first)
        rows = count if at_data else ladders
        visible, hidden = np.empty((count + rows, n_v), np.float32), np.empty((count + rows, n_h), np.float32)
        for k in range(count):
            visible[k] = data[order[first + k]]
        own, means = visible[:count], hidden[:count]
        times(own, W, means, spin)
        means_of(means, c, ones, spin)
        if at_data:
            walker, states = np.empty((count, n_v), np.float32), np.empty((count, n_h), np.float32)
            draw_states(means.reshape(-1), states.reshape(-1), spin, scratch)
            hidden[count:] = walk(walker, states, net, ones[:count], count, steps, spin, scratch, generator)
            visible[count:] = walker
        else:
            hidden[count:] = walk(chains[0], chains[1], net, betas, ladders, steps, spin, scratch, generator)[:ladders]
            visible[count:] = chains[0][:ladders]
        column_means(own, gradient[1])
        column_means(means, gradient[2])
        column_means(visible[count:], model[0])
        column_means(hidden[count:], model[1])
        if speed > 0:
            for i in range(n_v):
                offsets[0][i] += speed * (gradient[1][i] - offsets[0][i])
            for j in range(n_h):
                offsets[1][j] += speed * (gradient[2][j] - offsets[1][j])
        for k in range(count):
            for j in range(n_h):
                hidden[k, j] *= np.float32(1 / count)
        for k in range(count, count + rows):
            for j in range(n_h):
                hidden[k, j] *= np.float32(-1 / rows)
        turned_times(visible, hidden, gradient[0], spin)
        for i in range(n_v):
            gradient[1][i] -= model[0][i]
        for j in range(n_h):
            gradient[2][j] -= model[1][j]
        if centred:
            centre(gradient, offsets)
        norm = step(W.reshape(-1), velocity[0].reshape(-1), gradient[0].reshape(-1), rate, momentum, l1, l2)
        norm += step(b, velocity[1], gradient[1], rate, momentum, _0, _0)
        norms += np.sqrt(norm + step(c, velocity[2], gradient[2], rate, momentum, _0, _0))
        batches += 1
    return norms / batches


@jit
def centre(gradient, offsets):
    """The gradient for units counted from their centres (Melchior, Fischer and Wiskott, JMLR 17, 99, 2016, alg. 1)."""
    G, v, h = gradient
    mu, nu = offsets
    for i in range(len(v)):
        for j in range(len(h)):
            G[i, j] -= np.float32(v[i] * nu[j] + mu[i] * h[j])
    for i in range(len(v)):
        lost = _0
        for j in range(len(h)):
            lost += G[i, j] * nu[j]
        v[i] -= lost
    for j in range(len(h)):
        lost = _0
        for i in range(len(mu)):
            lost += G[i, j] * mu[i]
        h[j] -= lost


@jit
def gibbs(J, fields, states, first, sweeps, beta, spin, generators):
    """Sweeps of a general machine: units first ... n - 1 of each chain one after the other, by local fields.

    J: (n, n);  fields: (chains, n), b + J u, kept up to date;  states: (chains, n);  generators: (chains, 2).
    """
    n = J.shape[0]
    low = np.float32(-1.0) if spin else _0
    scale = np.float32(beta * (2.0 if spin else 1.0))
    for k in range(states.shape[0]):
        a, b = generators[k, 0], generators[k, 1]
        own, field = states[k], fields[k]
        for _ in range(sweeps):
            for i in range(first, n):
                bits, a, b = next_bits(a, b)
                p = sigmoid(np.float32(scale * field[i]))
                u = np.float32(np.float32(np.int64(bits >> np.uint64(40))) * TO_UNIT)
                new = _1 if u < p else low
                if new != own[i]:
                    change, row = np.float32(new - own[i]), J[i]
                    own[i] = new
                    for j in range(n):
                        field[j] += np.float32(change * row[j])
        generators[k, 0], generators[k, 1] = a, b
