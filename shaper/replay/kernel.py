"""The events of a gateway as machine code: orders come, wait, are begun, completed, refused, or leave.

Decided here: the order of events (at one moment completions before returns before arrivals), who is served next, which
node takes an order, and what a full queue does. All state is in arrays that are advanced in place. Only this module and
its heap load numba.
"""

from typing import Any, NamedTuple

import numpy as np

from shaper.replay.heap import Heap, compiled, entry, least, pop, push

UNKNOWN, SERVED, REFUSED, EXPIRED = range(4)
ROUND_ROBIN, LEAST_REQUEST, TWO_CHOICES, PREQUAL, WEIGHTED = range(5)
ONE_LINE, STRICT, FAIR = range(3)
NEXT, TURN, WAITING = range(3)  # places in `State.counts`
VIRTUAL, HOT = range(2)  # places in `State.levels`
HOT_QUANTILE, HOT_STEP, PROBES = 0.7, 0.02, 3
OWED = 2.0  # most orders that a class can be owed
SMOOTHING = 0.05  # weight of the newest latency in a node's mean
MULTIPLIER = np.uint64(2685821657736338717)
SHIFTS = (np.uint64(12), np.uint64(25), np.uint64(27), np.uint64(11))
FAILOVER_S = 1.0  # until an order on a node that failed is sent again


class Book(NamedTuple):
    """Orders and their fates: (n,) each; `line` is the class, `leave` when a client leaves unless begun by then."""

    at: Any
    line: Any
    work: Any
    leave: Any
    returns: Any
    begun: Any
    ended: Any
    node: Any
    fate: Any
    tries: Any


class Lines(NamedTuple):
    """Rings of waiting orders by place (the gateway, or a node) and class: `ring` (places, classes, length)."""

    ring: Any
    head: Any
    count: Any
    limit: Any


class Nodes(NamedTuple):
    """Nodes (n,): units that serve, orders in service, orders in its own queue, work per unit and second, and so on."""

    units: Any
    busy: Any
    queued: Any
    rate: Any
    latency: Any
    seen_up: Any
    chance: Any
    recent: Any


class Gate(NamedTuple):
    """Admission by class (classes,): tokens, their rate, their bound, when they were counted, fair shares and times, floors.

    `limit` (1,) bounds the orders under way; `floor` is the share of those served that a class is owed, `credit` what it has
    not had.
    """

    tokens: Any
    quota: Any
    burst: Any
    counted: Any
    share: Any
    virtual: Any
    limit: Any
    floor: Any
    credit: Any


class State(NamedTuple):
    """Everything that changes; `tally` (2, classes) holds orders begun and the sum of their waits."""

    book: Book
    lines: Lines
    nodes: Nodes
    gate: Gate
    flight: Heap
    again: Heap
    counts: Any
    levels: Any
    tally: Any
    random: Any


class Rules(NamedTuple):
    """How the gateway works: numbers only, see the constants above. `late`: an order is bound to a node when one is free."""

    late: int
    lines: int
    routing: int
    lifo_after_s: float
    tries: int
    backoff_s: float


@compiled
def uniform(random: Any) -> Any:
    """A number in [0, 1) by xorshift64* (Vigna 2016)."""
    x = random[0]
    x ^= x >> SHIFTS[0]
    x ^= x << SHIFTS[1]
    x ^= x >> SHIFTS[2]
    random[0] = x
    return float((x * MULTIPLIER) >> SHIFTS[3]) / 2.0**53


@compiled
def load(nodes: Any, n: int) -> Any:
    """Orders at a node per unit; a node without units, or seen down, is full."""
    if nodes.units[n] <= 0 or nodes.seen_up[n] == 0:
        return 1e12 + nodes.queued[n]
    return (nodes.busy[n] + nodes.queued[n]) / nodes.units[n]


@compiled
def is_free(nodes: Any, n: int) -> Any:
    """Whether a unit of a node is idle."""
    return nodes.busy[n] < nodes.units[n] and nodes.rate[n] > 0


@compiled
def drawn(nodes: Any, u: float) -> Any:
    """The node at a point of the cumulated weights."""
    for n in range(len(nodes.chance)):
        if u < nodes.chance[n]:
            return n
    return len(nodes.chance) - 1


@compiled
def in_turn(s: Any, late: int) -> Any:
    """The next node that is up (late: and free)."""
    count = len(s.nodes.units)
    for _ in range(count):
        n = s.counts[TURN] % count
        s.counts[TURN] += 1
        if s.nodes.seen_up[n] and s.nodes.units[n] > 0 and (late == 0 or is_free(s.nodes, n)):
            return n
    return s.counts[TURN] % count


@compiled
def least_loaded(nodes: Any) -> Any:
    """The node with the fewest orders per unit."""
    best = 0
    for n in range(1, len(nodes.units)):
        if load(nodes, n) < load(nodes, best):
            best = n
    return best


@compiled
def probed(s: Any) -> Any:
    """Of three nodes drawn at random the quickest of the cold ones, else the least loaded (Prequal, Wydrowski et al. 2024)."""
    best, best_cold, best_value = -1, False, 0.0
    for _ in range(PROBES):
        n = int(uniform(s.random) * len(s.nodes.units))
        held = load(s.nodes, n)
        if held < 1e12:
            s.levels[HOT] += HOT_STEP * (HOT_QUANTILE - (1.0 if held < s.levels[HOT] else 0.0))
        cold = held < s.levels[HOT]
        value = s.nodes.recent[n] if cold else held
        if best < 0 or (cold and not best_cold) or (cold == best_cold and value < best_value):
            best, best_cold, best_value = n, cold, value
    return best


@compiled
def chosen(s: Any, rules: Any) -> Any:
    """The node for an order; with late binding a free one, or -1 when none is."""
    if rules.routing == ROUND_ROBIN:
        n = in_turn(s, rules.late)
    elif rules.routing == LEAST_REQUEST:
        n = least_loaded(s.nodes)
    elif rules.routing == PREQUAL:
        n = probed(s)
    else:
        count = len(s.nodes.units)
        weighted = rules.routing == WEIGHTED
        n = drawn(s.nodes, uniform(s.random)) if weighted else int(uniform(s.random) * count)
        m = drawn(s.nodes, uniform(s.random)) if weighted else int(uniform(s.random) * count)
        n = m if load(s.nodes, m) < load(s.nodes, n) else n
    if rules.late == 1 and not is_free(s.nodes, n):
        n = least_loaded(s.nodes)
        return n if is_free(s.nodes, n) else any_free(s.nodes)
    return n


@compiled
def any_free(nodes: Any) -> Any:
    """The first free node, or -1."""
    for n in range(len(nodes.units)):
        if is_free(nodes, n):
            return n
    return -1


@compiled
def begin(s: Any, o: int, n: int, t: float) -> None:
    """Start an order on a node."""
    ends = t + s.book.work[o] / s.nodes.rate[n]
    s.book.begun[o], s.book.ended[o], s.book.node[o], s.book.fate[o] = t, ends, n, SERVED
    s.nodes.busy[n] += 1
    c = s.book.line[o]
    s.tally[0, c] += 1.0
    s.tally[1, c] += t - s.book.at[o]
    s.gate.credit[c] = max(s.gate.credit[c] - 1.0, 0.0)
    s.nodes.recent[n] += SMOOTHING * (ends - s.book.at[o] + s.nodes.latency[n] - s.nodes.recent[n])
    push(s.flight, ends, o, n)


@compiled
def lose(s: Any, rules: Any, o: int, t: float, fate: int) -> None:
    """An order leaves unserved, or, refused, returns later if its client is one to try again."""
    if fate == REFUSED and s.book.returns[o] and s.book.tries[o] < rules.tries:
        back = t + rules.backoff_s * 2.0 ** s.book.tries[o] * (0.5 + uniform(s.random))
        if back < s.book.leave[o]:
            s.book.tries[o] += 1
            push(s.again, back, o, 0)
            return
    s.book.fate[o], s.book.ended[o] = fate, t


@compiled
def removed(s: Any, place: int, c: int, newest: bool) -> Any:
    """Take the newest or the oldest order out of a line that is not empty."""
    head, count, length = s.lines.head[place, c], s.lines.count[place, c], s.lines.ring.shape[2]
    at = (head + count - 1) % length if newest else head
    if not newest:
        s.lines.head[place, c] = (head + 1) % length
    s.lines.count[place, c] = count - 1
    if s.lines.count.shape[0] > 1:
        s.nodes.queued[place] -= 1
    s.counts[WAITING] -= 1
    return s.lines.ring[place, c, at]


@compiled
def purge(s: Any, rules: Any, place: int, c: int, t: float) -> None:
    """Let the oldest orders of a line go that have waited as long as they would."""
    while s.lines.count[place, c] > 0:
        oldest = s.lines.ring[place, c, s.lines.head[place, c]]
        if s.book.leave[oldest] > t:
            return
        removed(s, place, c, False)
        lose(s, rules, oldest, s.book.leave[oldest], EXPIRED)


@compiled
def first_of(s: Any, rules: Any, place: int, c: int, t: float) -> Any:
    """The next order of a line: the oldest, or under overload (it has waited too long) the newest; -1 of an empty one."""
    purge(s, rules, place, c, t)
    while s.lines.count[place, c] > 0:
        oldest = s.lines.ring[place, c, s.lines.head[place, c]]
        o = removed(s, place, c, t - s.book.at[oldest] > rules.lifo_after_s)
        if s.book.leave[o] > t:
            return o
        lose(s, rules, o, s.book.leave[o], EXPIRED)
    return -1


@compiled
def fair_class(s: Any, place: int) -> Any:
    """The waiting class with the least virtual time (start-time fair queueing, Goyal et al. 1996), or -1."""
    best = -1
    for c in range(s.lines.count.shape[1]):
        if s.lines.count[place, c] > 0:
            s.gate.virtual[c] = max(s.gate.virtual[c], s.levels[VIRTUAL])
            if best < 0 or s.gate.virtual[c] < s.gate.virtual[best]:
                best = c
    return best


@compiled
def next_fair(s: Any, rules: Any, place: int, t: float) -> Any:
    """Who is served next when classes share by weight, -1 if nobody waits."""
    c = fair_class(s, place)
    while c >= 0:
        o = first_of(s, rules, place, c, t)
        if o >= 0:
            s.levels[VIRTUAL] = s.gate.virtual[c]
            s.gate.virtual[c] += s.book.work[o] / s.gate.share[c]
            return o
        c = fair_class(s, place)
    return -1


@compiled
def next_owed(s: Any, rules: Any, place: int, t: float) -> Any:
    """The next order of a class that is owed service by its floor, -1 if there is none."""
    for c in range(s.lines.count.shape[1]):
        s.gate.credit[c] = min(s.gate.credit[c] + s.gate.floor[c], OWED)
        if s.gate.credit[c] >= 1.0 and s.lines.count[place, c] > 0:
            o = first_of(s, rules, place, c, t)
            if o >= 0:
                return o
    return -1


@compiled
def next_order(s: Any, rules: Any, place: int, t: float) -> Any:
    """Who is served next from a place, -1 if nobody waits."""
    if rules.lines == FAIR:
        return next_fair(s, rules, place, t)
    o = next_owed(s, rules, place, t) if rules.lines == STRICT else -1
    if o >= 0:
        return o
    for c in range(s.lines.count.shape[1]):
        o = first_of(s, rules, place, c, t)
        if o >= 0:
            return o
    return -1


@compiled
def fill(s: Any, rules: Any, n: int, t: float) -> None:
    """Give a node's idle units work."""
    while s.counts[WAITING] > 0 and is_free(s.nodes, n):
        o = next_order(s, rules, 0 if rules.late == 1 else n, t)
        if o < 0:
            return
        begin(s, o, n, t)


@compiled
def admitted(s: Any, c: int, t: float) -> Any:
    """Whether the class has a token and the gateway is below its limit of orders under way; takes the token."""
    if s.counts[WAITING] + s.flight.size[0] >= s.gate.limit[0]:
        return False
    s.gate.tokens[c] = min(s.gate.burst[c], s.gate.tokens[c] + s.gate.quota[c] * (t - s.gate.counted[c]))
    s.gate.counted[c] = t
    if s.gate.tokens[c] < 1.0:
        return False
    s.gate.tokens[c] -= 1.0
    return True


@compiled
def enqueue(s: Any, rules: Any, o: int, place: int, t: float) -> None:
    """Let an order wait. A full line refuses it, or under LIFO refuses its oldest order in its stead."""
    c = 0 if rules.lines == ONE_LINE else s.book.line[o]
    purge(s, rules, place, c, t)
    if s.lines.count[place, c] >= s.lines.limit[c]:
        if s.lines.count[place, c] == 0 or rules.lifo_after_s > 1e8:
            lose(s, rules, o, t, REFUSED)
            return
        lose(s, rules, removed(s, place, c, False), t, REFUSED)
    end = (s.lines.head[place, c] + s.lines.count[place, c]) % s.lines.ring.shape[2]
    s.lines.ring[place, c, end] = o
    s.lines.count[place, c] += 1
    if s.lines.count.shape[0] > 1:
        s.nodes.queued[place] += 1
    s.counts[WAITING] += 1


@compiled
def arrive(s: Any, rules: Any, o: int, t: float) -> None:
    """An order comes, for the first time or again."""
    if not admitted(s, s.book.line[o], t):
        lose(s, rules, o, t, REFUSED)
        return
    n = chosen(s, rules)
    if n >= 0 and is_free(s.nodes, n) and (rules.late == 1 or s.nodes.queued[n] == 0):
        begin(s, o, n, t)
        return
    place = 0 if rules.late == 1 else n
    enqueue(s, rules, o, place, t)


@compiled
def complete(s: Any, rules: Any, t: float) -> None:
    """The next order in service is done."""
    n = s.flight.node[0]
    pop(s.flight)
    s.nodes.busy[n] -= 1
    fill(s, rules, n, t)


@entry
def advance(s: Any, rules: Any, t: float, until: float) -> None:
    """Let everything happen in [t, until), after units have changed at t."""
    for n in range(len(s.nodes.units)):
        fill(s, rules, n, t)
    orders = len(s.book.at)
    while True:
        done, back = least(s.flight), least(s.again)
        i = s.counts[NEXT]
        came = s.book.at[i] if i < orders else 1e300
        if min(done, back, came) >= until:
            break
        if done <= back and done <= came:
            complete(s, rules, done)
        elif back <= came:
            o = s.again.order[0]
            pop(s.again)
            arrive(s, rules, o, back)
        else:
            s.counts[NEXT] = i + 1
            arrive(s, rules, i, came)
    for place in range(s.lines.count.shape[0]):
        for c in range(s.lines.count.shape[1]):
            purge(s, rules, place, c, until)


@entry
def fail(s: Any, rules: Any, node: int, t: float) -> None:
    """A node stops: what it served or held is sent again after a moment, if its client is still there."""
    kept = 0
    for i in range(s.flight.size[0]):
        if s.flight.node[i] == node:
            s.nodes.busy[node] -= 1
            resend(s, s.flight.order[i], t)
        else:
            s.flight.key[kept], s.flight.order[kept] = s.flight.key[i], s.flight.order[i]
            s.flight.node[kept] = s.flight.node[i]
            kept += 1
    size = kept
    s.flight.size[0] = 0
    for i in range(size):
        push(s.flight, s.flight.key[i], s.flight.order[i], s.flight.node[i])
    if rules.late == 0:
        for c in range(s.lines.count.shape[1]):
            while s.lines.count[node, c] > 0:
                resend(s, removed(s, node, c, False), t)


@compiled
def resend(s: Any, o: int, t: float) -> None:
    """Send an order again after the time that a failover takes."""
    s.book.fate[o] = UNKNOWN
    if s.book.leave[o] > t + FAILOVER_S:
        push(s.again, t + FAILOVER_S, o, 0)
    else:
        s.book.fate[o], s.book.ended[o] = EXPIRED, max(s.book.leave[o], s.book.at[o])
