"""The columns of a picture's boxes, and the ways of its lines.

Called by `scene`. Between two rows of boxes is a channel: each net leaves its source at the bottom, runs
along a track of its own, and enters its targets at the top. Lines of two nets cross and never join.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from bailie.drawing.ranks import GAP, Net, Ranks, Spot

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_PASSING = 3
"""Columns of a line that passes a row."""
_ALIGNMENTS = 8


class Segment(NamedTuple):
    """A straight line between two cells, both included."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(slots=True)
class BoxPlace:
    """The size of a box, and the cell of its corner."""

    width: int
    height: int
    x: int = 0
    y: int = 0


@dataclass(slots=True)
class Wiring:
    """The lines of one net: segments, and the cells in the top borders of the boxes that it enters."""

    segments: list[Segment] = field(default_factory=list)
    starts: list[tuple[int, int]] = field(default_factory=list)
    ends: list[tuple[int, int]] = field(default_factory=list)


def route(ranks: Ranks, places: Mapping[str, BoxPlace]) -> dict[Net, Wiring]:
    """Gives each box its place, and returns the lines of all nets."""
    spots = {
        spot: BoxPlace(_PASSING, 1) if spot.net else places[spot.node] for row in ranks.rows for spot in row
    }
    _align(ranks, spots)
    router = _Router(ranks, spots)
    router.lay()
    return router.nets


def _align(ranks: Ranks, spots: Mapping[Spot, BoxPlace]) -> None:
    """Puts each spot below the middle of the spots above it, and above those below, as its row permits."""
    beside = _neighbours(ranks)
    for row in ranks.rows:
        _spread(row, spots, {})
    widest = max((_right(row, spots) for row in ranks.rows), default=0)
    for row in ranks.rows:
        shift = (widest - _right(row, spots)) // 2
        for spot in row:
            spots[spot].x += shift
    for turn in range(_ALIGNMENTS):
        above, below = beside
        neighbours = above if turn % 2 == 0 else below
        for row in ranks.rows if turn % 2 == 0 else reversed(ranks.rows):
            wanted = {spot: _middle(neighbours[spot], spots) for spot in row if neighbours.get(spot)}
            _spread(row, spots, {s: middle - spots[s].width // 2 for s, middle in wanted.items()})
    left = min((place.x for place in spots.values()), default=0)
    for place in spots.values():
        place.x -= left


def _neighbours(ranks: Ranks) -> tuple[dict[Spot, list[Spot]], dict[Spot, list[Spot]]]:
    above: dict[Spot, list[Spot]] = {}
    below: dict[Spot, list[Spot]] = {}
    for spot, nets in ranks.reads.items():
        for source in dict.fromkeys(nets.values()):
            above.setdefault(spot, []).append(source)
            below.setdefault(source, []).append(spot)
    return above, below


def _right(row: Sequence[Spot], spots: Mapping[Spot, BoxPlace]) -> int:
    return max((spots[spot].x + spots[spot].width for spot in row), default=0)


def _middle(found: Sequence[Spot], spots: Mapping[Spot, BoxPlace]) -> int:
    return sum(2 * spots[each].x + spots[each].width for each in found) // (2 * len(found))


def _spread(row: Sequence[Spot], spots: Mapping[Spot, BoxPlace], wanted: Mapping[Spot, int]) -> None:
    """Moves a row's spots to where they are wanted, in their order and without overlap.

    The way from the left and that from the right each keep the distances, so that their mean does, too.
    """
    columns = [wanted.get(spot, spots[spot].x) for spot in row]
    room = [spots[spot].width + GAP for spot in row]
    forward, backward = columns[:], columns[:]
    for index in range(1, len(row)):
        forward[index] = max(columns[index], forward[index - 1] + room[index - 1])
    for index in range(len(row) - 2, -1, -1):
        backward[index] = min(columns[index], backward[index + 1] - room[index])
    for spot, right, left in zip(row, forward, backward, strict=True):
        spots[spot].x = (right + left) // 2


@dataclass(slots=True)
class _Way:
    """A net in one channel: the column and line where it comes from above, and the columns of its ends."""

    start: int
    top: int
    ends: list[int] = field(default_factory=list)

    @property
    def left(self) -> int:
        """The first column."""
        return min(self.start, *self.ends)

    @property
    def right(self) -> int:
        """The last column."""
        return max(self.start, *self.ends)


@dataclass(slots=True)
class _Router:
    ranks: Ranks
    spots: Mapping[Spot, BoxPlace]
    nets: dict[Net, Wiring] = field(default_factory=dict)
    _columns: dict[Spot, int] = field(default_factory=dict)
    """The column of a net that passes a row, by its spot."""

    def lay(self) -> None:
        """Lays the rows and channels from above."""
        y = 0
        for index, row in enumerate(self.ranks.rows):
            if index:
                y = self._channel(row, y)
            tall = max(self.spots[spot].height for spot in row)
            for spot in row:
                self.spots[spot].y = y
                if spot.net is not None:
                    column = self._columns[spot]
                    self.nets[spot.net].segments.append(Segment(column, y - 1, column, y + tall))
            y += tall

    def _channel(self, row: Sequence[Spot], y: int) -> int:
        """Lays the lines between a row and the one above; returns the line below them."""
        ways: dict[Net, _Way] = {}
        for spot in row:
            for net, above in self.ranks.reads.get(spot, {}).items():
                if net not in ways:
                    ways[net] = self._way(net, above, y)
        taken = {way.start: net for net, way in ways.items()}
        ends = [(spot, *end) for spot in row for end in self._ends(spot, ways, taken)]
        for spot, net, column in ends:
            ways[net].ends.append(column)
            if spot.net is not None:
                self._columns[spot] = column
        tracks = _tracks(ways)
        bottom = y + 1 + max(tracks.values(), default=0)
        for net, way in ways.items():
            self.nets[net].segments += _segments(way, y + tracks.get(net, 0), bottom)
        for spot, net, column in ends:
            if spot.net is None:
                self.nets[net].ends.append((column, bottom))
        return bottom

    def _way(self, net: Net, above: Spot, y: int) -> _Way:
        """Returns the beginning of a net's way, at its box or where it has passed the row above."""
        if above.net is not None:
            return _Way(self._columns[above], y)
        place = self.spots[above]
        column = place.x + place.width // 2 + (2 if net.trigger else 0)
        wiring = self.nets.setdefault(net, Wiring())
        wiring.starts.append((column, place.y + place.height - 1))
        return _Way(column, place.y + place.height)

    def _ends(
        self, spot: Spot, ways: Mapping[Net, _Way], taken: Mapping[int, Net]
    ) -> Iterator[tuple[Net, int]]:
        """Yields the columns in which nets enter a spot: straight where that is possible, else side by side.

        A column that belongs to another net's beginning is left free, for the two lines would join.
        """
        place = self.spots[spot]
        nets = sorted(self.ranks.reads.get(spot, {}), key=lambda net: ways[net].start)
        margin = 0 if spot.net else 2
        inside = range(place.x + margin, place.x + place.width - margin)
        if len(nets) == 1 and ways[nets[0]].start in inside:
            yield nets[0], ways[nets[0]].start
            return
        column = place.x + place.width // 2 - (len(nets) - 1)
        for index, net in enumerate(nets):
            room = inside[: len(inside) - 2 * (len(nets) - index - 1)]
            free = [each for each in room if each >= column and taken.get(each, net) == net]
            column = free[0] if free else room[-1]
            yield net, column
            column += 2


def _tracks(ways: Mapping[Net, _Way]) -> dict[Net, int]:
    """Returns the track of each net that runs across; nets on one track do not touch.

    Where one net ends in the column in which another begins, the other one's track is above.
    """
    starts = {way.start: net for net, way in ways.items()}
    bent = {net: way for net, way in ways.items() if way.left != way.right}
    above = {
        net: [other for end in way.ends if (other := starts.get(end, net)) != net and other in bent]
        for net, way in bent.items()
    }
    tracks: dict[Net, int] = {}
    used: list[list[_Way]] = []
    for net in _from_above(above, sorted(bent, key=lambda net: (bent[net].left, bent[net].right))):
        way = bent[net]
        track = 1 + max((tracks.get(other, -1) for other in above[net]), default=-1)
        while track < len(used) and any(_touch(way, other) for other in used[track]):
            track += 1
        used += [[] for _ in range(len(used), track + 1)]
        used[track].append(way)
        tracks[net] = track
    return tracks


def _from_above(above: Mapping[Net, Sequence[Net]], order: Sequence[Net]) -> Iterator[Net]:
    """Yields the nets in their order, each after those that must be above it, as far as that is possible."""
    place = {net: index for index, net in enumerate(order)}
    left, done = list(order), set[Net]()
    while left:
        free = [net for net in left if all(other in done for other in above[net])]
        net = min(free or left, key=place.__getitem__)
        left.remove(net)
        done.add(net)
        yield net


def _touch(way: _Way, other: _Way) -> bool:
    return way.left <= other.right + 1 and other.left <= way.right + 1


def _segments(way: _Way, track: int, bottom: int) -> Iterator[Segment]:
    """Yields the lines of a way; `bottom`: the line below the channel."""
    if way.left == way.right:
        yield Segment(way.start, way.top, way.start, bottom - 1)
        return
    yield Segment(way.start, way.top, way.start, track)
    yield Segment(way.left, track, way.right, track)
    for column in way.ends:
        yield Segment(column, track, column, bottom - 1)
