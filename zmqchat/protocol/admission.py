"""Admission: who may have a link. The handshake at the door, from both sides.

How it works. A caller sends HELLO, the answerer WELCOME or REFUSED; nothing is ever left unanswered.

    caller     idle --DialWanted/HELLO--> waiting --WELCOME--> welcomed | --REFUSED, time-out--> ended
    answerer   HELLO --checks pass--> WELCOME + Admit
               HELLO of a live peer with a new instance --> probing --silent--> WELCOME (a restart)
                                                                    --answered--> REFUSED duplicate
               HELLO of a linked peer, same instance    --> probing --silent--> WELCOME, a new session
                                                                    --answered--> WELCOME

A peer that dials has no link, so ours is dead though nothing told us (its address changed, its cable was out);
where the probe is answered, it had only several of our addresses to try.

The checks, in order: `stopping`, `self`, `identity` (the peer id must convert to the CURVE key that the
transport proved), `duplicate` (our own id), `mesh`, `version`, `penalty`, `full`; `busy` where too many are
probed. The caller verifies the answer's signature over both ids, its own instance nonce and the endpoints,
so that no answer can be replayed or redirected; what does not verify is counted and waits for its time-out.
A second node with one identity is told so by REFUSED, the first by the frame DUPLICATE over its link.

Protocol versions: HELLO names all that the caller speaks; the answerer takes the highest shared one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from zmqchat.history.crypto import Crypto
from zmqchat.model.addresses import Endpoint
from zmqchat.model.config import Config
from zmqchat.model.faults import Fault
from zmqchat.model.ids import MeshId, PeerId, peer_short
from zmqchat.model.limits import DIALS_AT_ONCE_MAX, DOOR_FRAMES_PER_S_MAX, ENDPOINTS_PER_PEER_MAX, PEERS_LIVE_MAX
from zmqchat.model.text import clean
from zmqchat.protocol.effects import Admit, AnswerDoor, CloseDoor, DialDoor, IdentityShared, SetTimer
from zmqchat.protocol.facts import (
    DialFailed,
    DoorAnswered,
    DoorCaller,
    DoorKnocked,
    EndpointsChanged,
    Instant,
    NodeStarted,
    StopRequested,
    TimerFired,
)
from zmqchat.protocol.machine import (
    OVERLAY_FEATURE,
    DialEnded,
    DialWanted,
    Machine,
    PeerLinked,
    PeerPenalised,
    ProbeAnswered,
    ProbeWanted,
    SendFrame,
    SessionEnded,
    SessionReplaced,
    Size,
    Welcomed,
)
from zmqchat.protocol.roster_facts import GAPS_FEATURE, ROSTER_FEATURE
from zmqchat.wire.frames import Duplicate, Hello, Refused, Welcome, decode, encode, signed_part

PROTOCOL_VERSIONS: Final = (1,)
"""What this node speaks, rising."""

WELCOME_LABEL: Final = b"zmqchat-welcome-1"
REFUSED_LABEL: Final = b"zmqchat-refused-1"
PROBES_AT_ONCE_MAX: Final = 64
"""Peers whose older session is probed; each holds one HELLO of at most 4,000 B."""
CALLERS_PER_PROBE_MAX: Final = 4
"""Connections of one peer that wait for the same probe: it dials several of our addresses at once."""
PENALISED_MAX: Final = 4_096
"""Penalties remembered here; identities are free, so the oldest gives way."""
DOOR_BURST: Final = 2.0 * DOOR_FRAMES_PER_S_MAX
"""HELLOs answered at once. The transport keeps the rate by making callers wait: here it is a second guard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Self:
    """Who this node is, as HELLO and WELCOME tell it.

    curve_key   of a peer id, None where the id is no valid point
    instance    16 random bytes, new at each start: tells a restart from a redial
    """

    peer: PeerId
    mesh: MeshId
    instance: bytes
    store: bytes
    generation: int
    curve_key: Callable[[PeerId], bytes | None]
    versions: tuple[int, ...] = PROTOCOL_VERSIONS
    features: tuple[str, ...] = (OVERLAY_FEATURE, ROSTER_FEATURE, GAPS_FEATURE)


@dataclass(slots=True)
class _Dial:
    endpoint: Endpoint
    expected: PeerId | None


@dataclass(slots=True)
class _Probe:
    callers: list[DoorCaller]
    hello: Hello


class Admission(Machine):
    """The handshake machine; emits Welcomed for each session that may begin."""

    timer = "admission"

    def __init__(
        self, me: Self, crypto: Crypto, config: Config, may_accept: Callable[[PeerId], bool] = lambda _peer: True
    ) -> None:
        super().__init__()
        self._me = me
        self._crypto = crypto
        self._config = config
        self._may_accept = may_accept
        self._endpoints: tuple[Endpoint, ...] = ()
        self._ports = (0, 0, 0)
        self._stopping = False
        self._dials: dict[int, _Dial] = {}
        self._dial_number = 0
        self._probes: dict[PeerId, _Probe] = {}
        self._live: dict[PeerId, bytes] = {}
        self._linked: set[PeerId] = set()
        self._penalised: dict[PeerId, float] = {}
        self._tokens = DOOR_BURST
        self._tokens_at_s = 0.0
        self.refusals: dict[str, int] = {}
        self.facts = {
            NodeStarted: self._started,
            EndpointsChanged: self._endpoints_changed,
            StopRequested: self._stop,
            DialWanted: self._dial,
            DialFailed: self._dial_failed,
            DoorAnswered: self._answered,
            DoorKnocked: self._knocked,
            ProbeAnswered: self._probe_answered,
            PeerLinked: self._peer_linked,
            SessionEnded: self._session_ended,
            PeerPenalised: self._penalise,
            TimerFired: self._timer_fired,
        }
        self.frames = {Duplicate: self._told_duplicate}

    @property
    def dials_free(self) -> int:
        """How many more doors may be dialled at this moment."""
        return DIALS_AT_ONCE_MAX - len(self._dials)

    def sizes(self) -> tuple[Size, ...]:
        """Doors being dialled, and callers."""
        return (
            Size("dials", len(self._dials), DIALS_AT_ONCE_MAX),
            Size("probes", len(self._probes), PROBES_AT_ONCE_MAX),
            Size("penalties", len(self._penalised), PENALISED_MAX),
        )

    def _penalise(self, fact: PeerPenalised, at: Instant) -> None:
        self._penalised = {peer: until for peer, until in self._penalised.items() if until > at.now_s}
        self._penalised[fact.peer] = fact.until_s
        if len(self._penalised) > PENALISED_MAX:
            del self._penalised[next(iter(self._penalised))]

    def _started(self, fact: NodeStarted, _at: Instant) -> None:
        self._ports = fact.ports
        self._set_endpoints(fact.endpoints)

    def _endpoints_changed(self, fact: EndpointsChanged, _at: Instant) -> None:
        self._set_endpoints(fact.endpoints)

    def _set_endpoints(self, endpoints: tuple[Endpoint, ...]) -> None:
        # Without an address of ours the ports are told all the same: the other side knows where it found us.
        self._endpoints = endpoints[:ENDPOINTS_PER_PEER_MAX] or (Endpoint("", *self._ports),)

    def _stop(self, _fact: StopRequested, _at: Instant) -> None:
        self._stopping = True

    def _peer_linked(self, fact: PeerLinked, _at: Instant) -> None:
        self._linked.add(fact.peer)

    def _session_ended(self, fact: SessionEnded, at: Instant) -> None:
        self._linked.discard(fact.peer)
        if fact.reason == "replaced":
            return
        self._live.pop(fact.peer, None)
        probe = self._take_probe(fact.peer)
        if probe is not None:
            self._answer_probe(probe, at)

    def _is_full(self, peer: PeerId) -> bool:
        if peer in self._linked:
            return False
        return len(self._linked) >= PEERS_LIVE_MAX or not self._may_accept(peer)

    # As caller ---------------------------------------------------------------------------------

    def _dial(self, fact: DialWanted, at: Instant) -> None:
        self._dial_number += 1
        number = self._dial_number
        self._dials[number] = _Dial(fact.endpoint, fact.expected)
        hello = Hello(
            versions=self._me.versions,
            features=self._me.features,
            peer=self._me.peer,
            mesh=self._me.mesh,
            instance=self._me.instance,
            store=self._me.store,
            generation=self._me.generation,
            endpoints=self._endpoints,
        )
        self.outbox.append(DialDoor(dial=number, endpoint=fact.endpoint, payload=encode(hello)))
        self.outbox.append(SetTimer(name=(self.timer, "dial", number), at_s=at.now_s + self._config.dial_timeout_s))

    def _dial_failed(self, fact: DialFailed, _at: Instant) -> None:
        self._end_dial(fact.dial, None, "unreachable", fact.reason)

    def _end_dial(self, number: int, peer: PeerId | None, reason: str, detail: str) -> None:
        dial = self._close_dial(number)
        if dial is not None:
            self.outbox.append(
                DialEnded(endpoint=dial.endpoint, expected=dial.expected, peer=peer, reason=reason, detail=detail)
            )

    def _close_dial(self, number: int) -> _Dial | None:
        dial = self._dials.pop(number, None)
        if dial is not None:
            self.outbox.append(SetTimer(name=(self.timer, "dial", number), at_s=None))
            self.outbox.append(CloseDoor(dial=number))
        return dial

    def _answered(self, fact: DoorAnswered, at: Instant) -> None:
        dial = self._dials.get(fact.dial)
        if dial is None:
            return
        frame = decode(fact.payload)
        if isinstance(frame, Refused):
            self._refused(fact.dial, frame)
        elif isinstance(frame, Welcome):
            self._welcomed(fact.dial, dial, frame, at)
        elif isinstance(frame, Fault):
            self._end_dial(fact.dial, None, "malformed", frame.detail)
        else:
            self._count("unexpected")

    def _signed_by(self, frame: Welcome | Refused, label: bytes) -> bool:
        """Whether the answer is to our HELLO and by the id that it names; others are counted."""
        is_ours = frame.hello_instance == self._me.instance and self._me.curve_key(frame.peer) is not None
        if is_ours and self._crypto.verify(frame.peer, label, self._me.peer + signed_part(frame), frame.signature):
            return True
        self._count("unsigned" if is_ours else "replayed")
        return False

    def _refused(self, number: int, frame: Refused) -> None:
        if not self._signed_by(frame, REFUSED_LABEL):
            return
        if frame.reason == "duplicate":
            self.outbox.append(IdentityShared(peer=self._me.peer, ours=True))
        self._end_dial(number, frame.peer, clean(frame.reason), clean(frame.detail))

    def _welcomed(self, number: int, dial: _Dial, frame: Welcome, at: Instant) -> None:
        if not self._signed_by(frame, WELCOME_LABEL):
            return
        if frame.version not in self._me.versions:
            self._end_dial(number, frame.peer, "version", f"the answer chose version {frame.version}")
            return
        if frame.peer == self._me.peer:
            self._end_dial(number, frame.peer, "self", "that is this node")
            return
        if dial.expected is not None and dial.expected != frame.peer:
            short = peer_short(frame.peer)
            self._end_dial(number, frame.peer, "identity", f"another node answered there: {short}")
            return
        if self._penalised.get(frame.peer, 0.0) > at.now_s:
            self._end_dial(number, frame.peer, "penalty", "too many faults; not linked for a while")
            return
        if self._is_full(frame.peer):
            self._end_dial(number, frame.peer, "full", "this node has all the links that it keeps")
            return
        if self._live.get(frame.peer) not in (None, frame.instance):
            self.outbox.append(SessionReplaced(peer=frame.peer))
        self._close_dial(number)
        self._live[frame.peer] = frame.instance
        ports = next((e for e in frame.endpoints if e.door == dial.endpoint.door), None)
        direct, feed = (ports.direct, ports.feed) if ports else (0, 0)
        if not ports and frame.endpoints:
            direct, feed = frame.endpoints[0].direct, frame.endpoints[0].feed
        self.outbox.append(Admit(peer=frame.peer))
        self.outbox.append(
            Welcomed(
                peer=frame.peer,
                dialled=True,
                endpoint=dial.endpoint._replace(direct=direct, feed=feed),
                told=frame.endpoints[:ENDPOINTS_PER_PEER_MAX],
                instance=frame.instance,
                store=frame.store,
                generation=frame.generation,
                version=frame.version,
                features=frame.features,
            )
        )

    # As answerer -------------------------------------------------------------------------------

    def _knocked(self, fact: DoorKnocked, at: Instant) -> None:
        if not self._rate_allows(at.now_s):
            self._count("rate")
            return
        hello = decode(fact.payload)
        if not isinstance(hello, Hello):
            self._count("malformed")
            return
        refusal = self._refusal(fact.caller, hello, at)
        if refusal is not None:
            self._refuse(fact.caller, hello, *refusal)
            return
        if hello.peer in self._linked or self._live.get(hello.peer) not in (None, hello.instance):
            self._probe(fact.caller, hello, at)
        else:
            self._welcome(fact.caller, hello, at)

    def _rate_allows(self, now_s: float) -> bool:
        earned = (now_s - self._tokens_at_s) * DOOR_FRAMES_PER_S_MAX
        self._tokens = min(DOOR_BURST, self._tokens + earned)
        self._tokens_at_s = now_s
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _refusal(self, caller: DoorCaller, hello: Hello, at: Instant) -> tuple[str, str] | None:
        if self._stopping:
            return "stopping", "this node is about to stop"
        if hello.peer == self._me.peer and hello.instance == self._me.instance:
            return "self", "that is this node"
        if self._me.curve_key(hello.peer) != caller.curve_key:
            return "identity", "the peer id does not belong to the connection's key"
        if hello.peer == self._me.peer:
            self.outbox.append(IdentityShared(peer=self._me.peer, ours=True))
            return "duplicate", "a node with this identity runs here: a copied home is a copied identity"
        if hello.mesh != self._me.mesh:
            return "mesh", "another mesh"
        if not set(hello.versions) & set(self._me.versions):
            theirs, ours = _listed(hello.versions), _listed(self._me.versions)
            return "version", f"you speak protocol version {theirs}, this node {ours}: update the older one"
        if self._penalised.get(hello.peer, 0.0) > at.now_s:
            return "penalty", "too many faults; try later"
        if self._is_full(hello.peer):
            return "full", "this node has all the links that it keeps"
        return None

    def _refuse(self, caller: DoorCaller, hello: Hello, reason: str, detail: str) -> None:
        self._count(reason)
        unsigned = Refused(
            reason=reason,
            detail=detail,
            versions=self._me.versions,
            peer=self._me.peer,
            hello_instance=hello.instance,
            signature=bytes(64),
        )
        signature = self._crypto.sign(REFUSED_LABEL, hello.peer + signed_part(unsigned))
        self.outbox.append(AnswerDoor(caller=caller, payload=encode(replace(unsigned, signature=signature))))

    def _probe(self, caller: DoorCaller, hello: Hello, at: Instant) -> None:
        probe = self._probes.get(hello.peer)
        if probe is not None and probe.hello.instance == hello.instance and len(probe.callers) < CALLERS_PER_PROBE_MAX:
            probe.callers.append(caller)
        elif probe is not None or len(self._probes) >= PROBES_AT_ONCE_MAX:
            self._refuse(caller, hello, "busy", "too many restarts at once; try again")
        else:
            self._probes[hello.peer] = _Probe([caller], hello)
            due_s = at.now_s + self._config.duplicate_probe_s
            self.outbox.append(SetTimer(name=(self.timer, "probe", hello.peer), at_s=due_s))
            self.outbox.append(ProbeWanted(peer=hello.peer))

    def _take_probe(self, peer: PeerId) -> _Probe | None:
        probe = self._probes.pop(peer, None)
        if probe is not None:
            self.outbox.append(SetTimer(name=(self.timer, "probe", peer), at_s=None))
        return probe

    def _answer_probe(self, probe: _Probe, at: Instant) -> None:
        """The older session is no more, or silent: whoever waited comes in, unless it may not by now."""
        if probe.hello.peer in self._linked:
            self.outbox.append(SessionReplaced(peer=probe.hello.peer))
        for caller in probe.callers:
            refusal = self._refusal(caller, probe.hello, at)
            if refusal is None:
                self._welcome(caller, probe.hello, at)
            else:
                self._refuse(caller, probe.hello, *refusal)

    def _probe_answered(self, fact: ProbeAnswered, at: Instant) -> None:
        probe = self._take_probe(fact.peer)
        if probe is None:
            return
        if probe.hello.instance == self._live.get(fact.peer):
            for caller in probe.callers:
                self._welcome(caller, probe.hello, at)
            return
        self.outbox.append(IdentityShared(peer=fact.peer, ours=False))
        self.outbox.append(SendFrame(peer=fact.peer, payload=encode(Duplicate(instance=probe.hello.instance))))
        for caller in probe.callers:
            self._refuse(caller, probe.hello, "duplicate", "another live node uses this identity")

    def _told_duplicate(self, _peer: PeerId, frame: Duplicate, _at: Instant) -> None:
        if frame.instance != self._me.instance:
            self.outbox.append(IdentityShared(peer=self._me.peer, ours=True))

    def _welcome(self, caller: DoorCaller, hello: Hello, at: Instant) -> None:
        version = max(set(hello.versions) & set(self._me.versions))
        unsigned = Welcome(
            version=version,
            features=self._me.features,
            peer=self._me.peer,
            hello_instance=hello.instance,
            instance=self._me.instance,
            store=self._me.store,
            generation=self._me.generation,
            endpoints=self._endpoints,
            observed=caller.address.partition("%")[0],  # a scope means something here alone
            signature=bytes(64),
        )
        signature = self._crypto.sign(WELCOME_LABEL, hello.peer + signed_part(unsigned))
        if self._live.get(hello.peer) not in (None, hello.instance):
            self.outbox.append(SessionReplaced(peer=hello.peer))
        self._live[hello.peer] = hello.instance
        told = hello.endpoints[:ENDPOINTS_PER_PEER_MAX]
        seen = told[0]._replace(host=caller.address) if told else Endpoint(caller.address, 0)
        self.outbox.append(Admit(peer=hello.peer))
        self.outbox.append(AnswerDoor(caller=caller, payload=encode(replace(unsigned, signature=signature))))
        self.outbox.append(
            Welcomed(
                peer=hello.peer,
                dialled=False,
                endpoint=seen,
                told=told,
                instance=hello.instance,
                store=hello.store,
                generation=hello.generation,
                version=version,
                features=hello.features,
            )
        )

    def _count(self, reason: str) -> None:
        self.refusals[reason] = self.refusals.get(reason, 0) + 1

    def _timer_fired(self, fact: TimerFired, at: Instant) -> None:
        _, what, which = fact.name
        if what == "dial" and isinstance(which, int):
            self._end_dial(which, None, "timeout", "no answer at the door")
        elif what == "probe":
            probe = self._take_probe(PeerId(which)) if isinstance(which, bytes) else None
            if probe is not None:
                self._answer_probe(probe, at)


def _listed(versions: tuple[int, ...]) -> str:
    return ", ".join(str(v) for v in sorted(versions)[:16])
