"""Every bound in one place: its unit, what it guards against, and the worst it can cost.

Sizes are of payloads; `net/` adds what CURVE adds. Relations between limits are asserted at the end.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Messages and batches ----------------------------------------------------------------------------

TEXT_BYTES_MAX: Final = 64 * KIB
"""UTF-8 bytes of a text. A page of history must hold several; a longer text is a file."""

EVENT_BYTES_MAX: Final = TEXT_BYTES_MAX + KIB
"""A packed event: the largest body plus salt, clock and context."""

BATCH_EVENTS_MAX: Final = 1_000
"""Events a batch: bounds the digests that a receiver computes for one frame (about 1 ms)."""

BATCH_BYTES_MAX: Final = 256 * KIB
"""header + sum(max(event, 34) + 5): deleting bodies never makes a batch larger than this."""

FRAME_BYTES_MAX: Final = BATCH_BYTES_MAX + 4 * KIB
"""Any frame on direct or feed. Unpacking one costs at most 3 MiB beyond its bytes (PACK_VALUES_MAX)."""

DOOR_FRAME_BYTES_MAX: Final = 4_000
"""A door frame: strangers send these, so a flood of them must stay cheap."""

AFTER_HEADS_MAX: Final = 4
"""Heads in an event's `after`: context for a reader, 48 bytes each."""

PACK_DEPTH_MAX: Final = 16
"""Nesting of any value from the network: deeper ones would break recursion in whoever formats them."""

PACK_VALUES_MAX: Final = 32 * KIB
"""Values in anything from the network, counted before it is unpacked: each costs up to 80 B and 0.2 µs."""

CONTENT_TYPE_BYTES_MAX: Final = 128
"""UTF-8 bytes of an app event's content type."""

NAME_CELLS_MAX: Final = 32
"""Terminal cells of a nickname: it stands in a column of its own."""

NAME_BYTES_MAX: Final = 256
"""UTF-8 bytes of a nickname as a profile event may carry it; what is shown is cut to NAME_CELLS_MAX."""

NUMBER_MAX: Final = 2**53
"""Largest event or log number: room for arithmetic everywhere, in every language."""

# Logs and frontiers ----------------------------------------------------------------------------

RANGES_MAX: Final = 8
"""Disjoint ranges a log: a peer that sends every second batch must not grow a frontier without end."""

BRANCHES_MAX: Final = 4
"""Branches a forked log: who forks his log a thousand times fills nobody's disk."""

GIVEN_MAX: Final = 64
"""Parts of a log that are remembered as delivered above what waits; of more, what is highest is delivered again."""

EXTENTS_MAX: Final = 64
"""Parts of a range that are stored under different branches: only a forked log has more than one."""

LOGS_PER_AUTHOR_MAX: Final = 256
"""Logs an author and room: a log number is free, a frontier entry (about 150 B) is not."""

FAR_BATCHES_MAX: Final = 64
"""Batches a peer that wait in memory because they fit no range."""

FAR_BYTES_MAX: Final = 4 * MIB
"""Bytes of the same, a peer."""

ROOMS_MAX: Final = 4_096
"""Rooms this node is in."""

KEPT_ROOMS_MAX: Final = 1_024
"""Rooms that this node is a keeper of: whoever makes up rooms makes others compare them, 60 B and a hash each."""

MEMBERS_PER_ROOM_MAX: Final = 20_000
"""Members remembered a room; identities are free in an open mesh."""

CLOCK_AHEAD_MS_MAX: Final = 60_000
"""How far ahead of us a peer's clock may be and still move ours."""

CLOCK_FOLD_MS: Final = 7 * 24 * 3_600_000
"""Messages further ahead than this are folded into one line by faces."""

# Links -------------------------------------------------------------------------------------------

PEERS_LIVE_MAX: Final = 256
"""Links at most, whatever the mesh: 3 sockets' worth of file descriptors each."""

CANDIDATES_MAX: Final = 4_096
"""Addresses heard by discovery: random replacement above it, 10 dials a second at most."""

PEERS_REMEMBERED_MAX: Final = 1_024
"""Peers whose addresses are kept in the store."""

ENDPOINTS_PER_PEER_MAX: Final = 8
"""Addresses a peer may name in HELLO: each costs a dial a minute at most."""

DIALS_AT_ONCE_MAX: Final = 4
"""Handshakes out at a time: a thundering herd must not starve the loop (2 ms of CPU each)."""

DIALS_PER_S_MAX: Final = 10
"""New dials a second, over all candidates."""

DIALS_REFUSED_MAX: Final = 64
"""In a partial mesh, dials beyond these that follow at once upon refused ones, and one more a second: most of a mesh
may have died at once. A SYN and its RST each."""

DOOR_FRAMES_PER_S_MAX: Final = 50
"""HELLOs answered a second: a flood at the door can't slow the mesh."""

LINK_UNACKNOWLEDGED_BYTES_MAX: Final = 8 * MIB
"""Live bytes a peer may leave unacknowledged before it gets no more live traffic (catches up by sync)."""

PING_ANSWERS_PER_S_MAX: Final = 10
"""Pings answered a second and peer; the rest is dropped before it is decoded."""

HAVE_BYTES_PER_S_MAX: Final = 256 * KIB
"""Bytes of HAVE read a second and peer, the rest is dropped before it is decoded: 5,500 logs, 15 µs each. A busy
log's acknowledgements take 20 KiB; each says all that those before it said, and an author asks where none came.
The longest that is well-formed has half of it."""

FEED_TOPICS_PER_PEER_MAX: Final = ROOMS_MAX + KEPT_ROOMS_MAX
"""Feed topics a peer may hold: XPUB keeps 1.1 KB each, under no high-water mark."""

FEED_TOPICS_PER_S_MAX: Final = 200
"""Subscriptions a second and peer, averaged over 5 s: the same threat, faster."""

HALF_OPEN_MAX: Final = 256
"""Connections that have not finished their handshake: 5 KB and a file descriptor each."""

HALF_OPEN_PER_ADDRESS_MAX: Final = 8
"""The same from one address; the oldest is cut first. Not for loopback, where all share one."""

UNREAD_DOOR_BYTES_MAX: Final = 64 * KIB
"""Bytes received on a door connection beyond those delivered: an endless multipart ends here."""

UNREAD_LINK_BYTES_MAX: Final = 2 * FRAME_BYTES_MAX
"""The same on a direct or feed connection."""

LINK_RECEIVE_BYTES_MAX: Final = 16 * MIB
"""What libzmq may hold of a connection while our loop does not read: its high-water mark in largest frames."""

LINK_SEND_BYTES_MAX: Final = 64 * MIB
"""The same of what we send on a direct link; a backstop, as the link's unacknowledged bytes end sooner."""

FEED_SEND_BYTES_MAX: Final = 32 * MIB
"""The same of a subscriber that does not read; subscribers share the memory of a frame."""

LINKS_PER_SESSION_MAX: Final = 4
"""Connections a peer may hold to one of our sockets: one, and the old ones while it redials."""

HALF_OPEN_S_MAX: Final = 10
"""A connection that has said nothing valid for this long is cut; libzmq allows 5 s for the handshake."""

DOOR_STAY_S_MAX: Final = 30
"""A connection to the door is cut after this: HELLO and its answer take milliseconds."""

NAME_LOOKUPS_AT_ONCE_MAX: Final = 8
"""Host names resolved at once, a thread each; DNS may take half a minute to give up."""

# The bounded overlay -------------------------------------------------------------------------------

FULL_MESH_MEMBERS_MAX: Final = 96
"""Live members up to which everybody links to everybody; above it a node keeps NEIGHBOURS links."""

FULL_MESH_AGAIN_MEMBERS: Final = 64
"""Live members below which a partial mesh is full again: so far below that a few who come and go switch nothing."""

NEIGHBOURS: Final = 8
"""Links that a node strives for in a partial mesh. It asks for more below 3/4 of it and gives up what is above 3/2."""

PASSIVE_PER_NEIGHBOUR: Final = 6
"""Peers in reserve for each of these links (HyParView's passive view): 48, about 300 B each."""

PASSIVE_PER_SOURCE: Final = 4
"""One peer may have told of a part of the reserve only, 1/4: a liar must not fill it."""

TRANSIENT_LINKS_MAX: Final = 4
"""Links beside the neighbours and visitors, of those who have yet to say what they want."""

CONTACTS_PER_LINK_MAX: Final = 16
"""Contacts that a peer may add to the reserve in the time between two shuffles: one honest answer and a few walks."""

OVERLAY_FRAMES_PER_S_MAX: Final = 16
"""Joins, walks and requests heeded a second and peer, averaged over 4 s; an honest peer sends about one."""

NEIGHBOURS_DISPLACED_PER_S_MAX: Final = 1
"""Links given up a second for a newcomer's sake, averaged over 4 s: a crowd of made-up peers must not stir the mesh."""

SHUFFLE_ENTRIES_MAX: Final = 8
"""Contacts in a shuffle beside its origin: HyParView's 3 neighbours and 4 in reserve, and one to spare."""

WALK_HOPS_MAX: Final = 8
"""Hops of a random walk: HyParView's six, and some to spare."""

SHUFFLES_UNDER_WAY_MAX: Final = 1_024
"""Shuffles of others whose answer may come back through here: 150 B each, the oldest gives way."""

# The tree of a partial mesh ------------------------------------------------------------------------

TREE_HOPS_MAX: Final = 255
"""Links that a live batch travels at most: ends what circles in a mesh whose nodes forget too soon."""

TREE_ENTRIES_PER_FRAME_MAX: Final = 1_024
"""Batches announced in one IHAVE: 20 KiB."""

TREE_ROOMS_MAX: Final = 4_096
"""Rooms whose links are told apart into eager and lazy; beyond it the one unheard of for longest begins anew."""

TREE_EAGER_MAX: Final = 16
"""Links that a new room's tree begins with; the rest is lazy. A node in both kinds of mesh has a hundred."""

TREE_SEEN_MAX: Final = 16_384
"""Relayed batches remembered, so that none is relayed twice: 4 MiB."""

TREE_SEEN_S: Final = 120.0
"""How long they are remembered: far beyond the time that a batch is under way."""

TREE_CACHE_BYTES_MAX: Final = 16 * MIB
"""Relayed batches kept to answer GRAFT, of all rooms."""

TREE_CACHE_S: Final = 30.0
"""How long they are kept: what is older is a matter of sync."""

TREE_MISSING_MAX: Final = 4_096
"""Announced batches that are waited for; what is announced beyond it comes by sync."""

TREE_MISSING_PER_PEER_MAX: Final = 1_024
"""The same that one peer has announced: who announces what there is not crowds out nobody."""

TREE_UNANSWERED_MAX: Final = 64
"""Announcements a minute that a peer did not make good when asked, before it is blamed."""

TREE_REQUESTS_PER_S_MAX: Final = 256
"""GRAFTs and PRUNEs heeded a second and peer; what is beyond is dropped and blamed. Honest nodes send half of it."""

TREE_RESENT_BYTES_PER_S_MAX: Final = 8 * MIB
"""Bytes that a peer gets a second by asking for batches again: a GRAFT is 40 B, its answer up to 256 KiB."""

TREE_PATHS_MAX: Final = 8_192
"""Logs of which it is remembered over which link their author is reached: 4 MiB."""

GAPPED_LINKS_MAX: Final = 256
"""Links that a member names who can't reach everybody: 2.5 KiB; a full mesh has fewer."""

GAPS_MAX: Final = 256
"""Live members without a link to us that are minded in a full mesh: a flood of made-up ones ends here."""

HOLDERS_PER_FRAME_MAX: Final = 256
"""Holders named in one frame on its way to an author: 10 KiB."""

HOLDERS_PER_LOG_MAX: Final = 8_192
"""Holders of one log that are gathered here for its author; the rest is found by sync."""

HOLDERS_PER_S_MAX: Final = 16_384
"""Holders heeded a second and peer, about 3 µs each: 60 frames of the largest; the rest is dropped."""

HOLDERS_MAX: Final = 65_536
"""The same of all logs: about 12 MiB."""

ASKS_PER_S_MAX: Final = 16
"""Questions of authors for their holders heeded a second and peer: each goes through the mesh and brings answers."""

ASKED_LOGS_MAX: Final = 4_096
"""Logs remembered to have been asked for lately, 200 B each."""

# The roster --------------------------------------------------------------------------------------

ROSTER_MEMBERS_MAX: Final = 50_000
"""Members of the mesh that a node remembers, dead ones too: under 64 MiB (RECORD_BYTES_MAX and about 150 B each)."""

ROSTER_STRANGERS_MAX: Final = 16_384
"""Of these, who was first heard of less than roster_known_s ago and never linked: identities are free."""

RECORD_BYTES_MAX: Final = 512
"""A signed member record; its owner leaves out addresses that do not fit."""

RECORD_ROOMS_MAX: Final = 16
"""Rooms that a member record hints at, 4 B each."""

RECORDS_PER_FRAME_MAX: Final = 64
"""Member records a frame: verifying them blocks for about 6 ms."""

RECORDS_PER_S_MAX: Final = 500
"""New member records taken a second and link: 5 % of a core for signatures; the rest comes by anti-entropy."""

RECORDS_BURST_MAX: Final = 2_048
"""The same at once, so that a newcomer to a mesh of a thousand knows all of it in a second."""

ROSTER_DIGEST_ENTRIES_MAX: Final = 2_048
"""Members of a bucket told in one frame, 16 B each: ten times the average of a full roster."""

SURVEY_LISTS_MAX: Final = 17
"""Nodes whose links are told in one answer, 8 B a link: the answerer, and those that it is linked to."""

LIVENESS_ENTRIES_PER_FRAME_MAX: Final = 256
"""Suspicions in one frame, 44 B each."""

SUSPECTS_MAX: Final = 4_096
"""Members under suspicion at a time: a timer each; further suspicions wait until some are settled."""

GOSSIP_LINKS_MAX: Final = 12
"""Links that news of members is passed to: all of a partial mesh, a sample of a full one."""

ADVERTISERS: Final = 16
"""Nodes of a partial mesh that announce themselves by mDNS at a time: 10,000 records would drown a network."""

LONELY_LINKS: Final = 3
"""A node with fewer links announces itself in any case."""

# Sync --------------------------------------------------------------------------------------------

PAGE_BYTES_MAX: Final = BATCH_BYTES_MAX
"""One answer to WANT: whole batches, at least one."""

PAGES_IN_FLIGHT_MAX: Final = 8
"""Pages granted to a peer at a time: 2 MiB on the way, enough to hide a commit and a round trip."""

EXCHANGES_AT_ONCE_MAX: Final = 4
"""Full frontier exchanges that run at once."""

SUMMARY_ENTRIES_MAX: Final = 2_048
"""Rooms or logs in one frame of a summary; more come in further frames."""

REPAIR_BYTES_PER_S_MAX: Final = 256 * MIB
"""Bytes of repair that a peer is sent a second: bounds a looping asker, and is above what a LAN carries."""

# Keepers -----------------------------------------------------------------------------------------

KEEPERS: Final = 3
"""Nodes outside a room that keep it for others: with fewer, two machines switched off at night lose what was said."""

KEEPER_ROOMS_PER_ROUND_MAX: Final = 64
"""Rooms taken up in one round: a keeper's end must not make the next one ask for a thousand rooms at once."""

KEEPER_LOOKS_PER_ROUND_MAX: Final = 20_000
"""Members looked at in one round to find out whether we are a keeper, about 1 µs each."""

KEPT_MIB: Final = 256.0
"""Default of what a node keeps for others, in MiB; of more, the oldest goes first."""

KEPT_BATCH_BYTES: Final = 256
"""What a batch counts of it beside its own bytes: the rows that tell where it is."""

KEPT_LOGS_MAX: Final = 16_384
"""Logs kept for others, about 1 KB of memory each; further ones are not taken."""

PARTING_ROOMS_MAX: Final = 1_024
"""Rooms that were left unheard and are told of until somebody hears it; of more the one left first is given up."""

PARTING_DAYS_MAX: Final = 30
"""How long such a room is told of: nobody of it was met in all that time."""

# Store -------------------------------------------------------------------------------------------

MAP_BYTES_MIN: Final = 64 * MIB
"""First size of the LMDB map; it doubles, so about ten resizes in a lifetime."""

STORE_GROUP_BYTES_MAX: Final = 16 * MIB
"""What one transaction takes from the queue: bounds the time until its futures resolve."""

STORE_QUEUE_BYTES_MAX: Final = 64 * MIB
"""Bytes that wait for the writer; beyond it live traffic is refused and comes back by sync."""

STORE_RESERVE_BYTES: Final = MIB
"""A file kept for a full disk: given up, so that read positions and deletions still find room."""

STORE_FREE_BYTES_MIN: Final = 256 * KIB
"""A disk with less than this free counts as full when a commit fails."""

READERS_MAX: Final = 512
"""LMDB reader slots; ours use at most READ_THREADS_MAX of them, inspectors the rest."""

READ_THREADS_MAX: Final = 4
"""Threads that read the store."""

ROWS_PER_PAGE_MAX: Final = 256
"""Rows read in one transaction: a long reader pins pages and the file never shrinks."""

HOT_BYTES_MAX: Final = 8 * MIB
"""Batches a room kept in memory after their commit, for cursors that are at the live end."""

HOT_TOTAL_BYTES_MAX: Final = 32 * MIB
"""The same of all rooms together; what is dropped first is of the room that has heard nothing for longest."""

# Publishing --------------------------------------------------------------------------------------

PENDING_BYTES_MAX: Final = 4 * MIB
"""Own events of a room that wait for the batch in flight; `send` waits above it, `post` raises."""

SEND_WINDOW_EVENTS_MAX: Final = 8_192
"""Events of one `send_all` on their way at once."""

# Control socket -----------------------------------------------------------------------------------

CONTROL_LINE_BYTES_MAX: Final = MIB
"""A request or answer: the largest text, escaped as JSON, takes up to 400 KiB."""

CONTROL_CLIENTS_MAX: Final = 32
"""Commands that use a node at once; a file descriptor, a line and a write buffer each."""

CONTROL_WRITE_BUFFER_BYTES_MAX: Final = 64 * KIB
"""What waits for a client that does not read; its requests then wait too, and events are cut."""

CONTROL_REQUESTS_MAX: Final = 16
"""Requests of one client at a time; the next is refused."""

CONTROL_SEND_WINDOW_EVENTS: Final = 1_024
"""Texts of one `send` that are on their way at once."""

CONTROL_SEND_WINDOW_BYTES: Final = 256 * KIB
"""Bytes of the same that are not yet durable: eight such streams stay below PENDING_BYTES_MAX."""

CONTROL_REMEMBERED_MAX: Final = 16_384
"""Ids of requests that are remembered, so that the same one again is the same message (300 B each)."""

CONTROL_REMEMBERED_CHARACTERS_MAX: Final = 8 * MIB
"""Characters of the texts that are remembered for it: 16,384 of the largest would be a gigabyte."""

HOME_CONFIG_BYTES_MAX: Final = 64 * KIB
"""A home's settings file; more is none of ours."""

assert EVENT_BYTES_MAX + 1 * KIB < BATCH_BYTES_MAX < FRAME_BYTES_MAX
assert PAGE_BYTES_MAX <= BATCH_BYTES_MAX
assert PENDING_BYTES_MAX >= 2 * BATCH_BYTES_MAX
assert STORE_GROUP_BYTES_MAX < STORE_QUEUE_BYTES_MAX < 2 * STORE_QUEUE_BYTES_MAX
assert LINK_UNACKNOWLEDGED_BYTES_MAX < LINK_SEND_BYTES_MAX
assert min(LINK_RECEIVE_BYTES_MAX, FEED_SEND_BYTES_MAX) > UNREAD_LINK_BYTES_MAX
assert CONTROL_LINE_BYTES_MAX > 6 * TEXT_BYTES_MAX + 4 * KIB
assert 8 * CONTROL_SEND_WINDOW_BYTES <= PENDING_BYTES_MAX
assert FULL_MESH_AGAIN_MEMBERS < FULL_MESH_MEMBERS_MAX < PEERS_LIVE_MAX
assert min(GAPPED_LINKS_MAX, GAPS_MAX) > FULL_MESH_MEMBERS_MAX
assert RECORDS_PER_FRAME_MAX * (RECORD_BYTES_MAX + 8) < 64 * KIB
assert ROSTER_STRANGERS_MAX < ROSTER_MEMBERS_MAX < 65_536
