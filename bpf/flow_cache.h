/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The flow cache in front of the sessions (docs/designs/flow-cache.md). A line stands for one direction of an
 * established session on one CPU, for a second at most, and hands its counts to the session when it is renewed,
 * displaced or ended. A flow may have one of four lines, two at each of two places; a place is a cache line (two for
 * IPv6), and only its own CPU writes to it.
 */
#ifndef MICROSEG_FLOW_CACHE_H
#define MICROSEG_FLOW_CACHE_H

#include "maps.h"
#include "packet.h"
#include "session.h"

#define MS_LINE_UNTIL ((1ULL << MS_LINE_UNTIL_BITS) - 1)
#define MS_LINE_PACKET (1ULL << MS_LINE_UNTIL_BITS)
#define MS_LINE_ENDS ((1ULL << MS_LINE_COOKIE_BIT) - 1)
#define MS_LINE_BACKWARD (1ULL << (MS_LINE_COOKIE_BIT - 1))

/* Jiffies that a line is given at most: a second at the highest rate there is. */
#define MS_LINE_LONGEST 1000

/* A flow whose lines are all taken displaces one at each such packet, so that the busiest have them. */
#define MS_LINE_PATIENCE 64

#define MS_PLACES4 (MS_ENTRIES_FLOW4 / MS_CPUS)
#define MS_PLACES6 (MS_ENTRIES_FLOW6 / MS_CPUS)
_Static_assert((MS_PLACES4 & (MS_PLACES4 - 1)) == 0 && (MS_PLACES6 & (MS_PLACES6 - 1)) == 0, "places are masked");

/* Where the lines of a packet's direction may be, and what they have in `ends`. */
struct ms_seat {
	__u32 place[2];
	__u64 ends;
};

/* An attacker whose addresses meet others' at their places sends them to their sessions, and no further. */
ms_inline __u64 ms_hash(const int family, const struct ms_packet *packet)
{
	const __u64 one = 0x9e3779b97f4a7c15ULL, two = 0xbf58476d1ce4e5b9ULL, three = 0x94d049bb133111ebULL;
	const __u64 *word = packet->word;
	__u64 hash;

	if (family == 4)
		hash = word[0] * one + word[1] * two;
	else
		hash =
		    word[0] * one + word[1] * two + word[2] * three + word[3] * (one ^ two) + word[4] * (two ^ three);
	hash ^= hash >> 32;
	return hash * one >> 32;
}

/* The second place is near the first one: in the same page of memory. */
ms_inline struct ms_seat ms_seat_of(const int family, const struct ms_packet *packet)
{
	const __u32 places = family == 4 ? MS_PLACES4 : MS_PLACES6, hash = ms_hash(family, packet);
	const __u32 near = ((hash & 63) | 2) & (places - 1);
	struct ms_seat seat;

	seat.place[0] = bpf_get_smp_processor_id() * places + ((hash >> 6 ^ packet->reversed) & (places - 1));
	seat.place[1] = seat.place[0] ^ near;
	seat.ends = packet->word[family == 4 ? 1 : 4] | (packet->reversed ? MS_LINE_BACKWARD : 0);
	return seat;
}

/* The seat of the opposite direction. */
ms_inline struct ms_seat ms_back(const struct ms_seat *seat)
{
	struct ms_seat back = {{seat->place[0] ^ 1, seat->place[1] ^ 1}, seat->ends ^ MS_LINE_BACKWARD};

	return back;
}

/* The first line of a place; 0 when there is no such place. */
ms_inline struct ms_line *ms_line_first(const int family, __u32 place)
{
	return family == 4 ? (struct ms_line *)flow4.lookup(&place) : (struct ms_line *)flow6.lookup(&place);
}

ms_inline struct ms_line *ms_line_second(const int family, struct ms_line *first)
{
	return (void *)first + (family == 4 ? sizeof(struct ms_line4) : sizeof(struct ms_line6));
}

ms_inline int ms_line_is_of(const int family, const struct ms_line *line, const struct ms_packet *packet, __u64 ends)
{
	const struct ms_line4 *line4 = (const void *)line;
	const struct ms_line6 *line6 = (const void *)line;

	if ((line->ends ^ ends) & MS_LINE_ENDS)
		return 0;
	if (family == 4)
		return line4->addresses == packet->word[0];
	return line6->addresses[0] == packet->word[0] && line6->addresses[1] == packet->word[1] &&
	       line6->addresses[2] == packet->word[2] && line6->addresses[3] == packet->word[3];
}

/* It was made under the policy in force, and its time has not run out. */
ms_inline int ms_line_is_live(const struct ms_line *line, __u32 generation, __u64 now)
{
	return line->generation == generation && ((line->life - now) & MS_LINE_UNTIL) - 1 < MS_LINE_LONGEST;
}

/* The flow's line at one place. */
ms_inline struct ms_line *ms_line_at(const int family, __u32 place, const struct ms_packet *packet, __u64 ends)
{
	struct ms_line *line = ms_line_first(family, place);

	if (!line || ms_line_is_of(family, line, packet, ends))
		return line;
	line = ms_line_second(family, line);
	return ms_line_is_of(family, line, packet, ends) ? line : 0;
}

/* The flow's line; 0: it has none. */
ms_inline struct ms_line *ms_line_of(const int family, const struct ms_packet *packet, const struct ms_seat *seat)
{
	struct ms_line *line = ms_line_at(family, seat->place[0], packet, seat->ends);

	return line ? line : ms_line_at(family, seat->place[1], packet, seat->ends);
}

/* The hot path: 1 when a line answers for this packet, and has counted it. */
ms_inline int ms_flow_answers(const int family, const struct ms_packet *packet, const struct ms_seat *seat,
			      __u32 generation, __u64 now)
{
	struct ms_line *line = ms_line_of(family, packet, seat);

	if (!line || !ms_line_is_live(line, generation, now) || line->bytes >> 31)
		return 0;
	line->life += MS_LINE_PACKET;
	line->bytes += packet->length;
	return 1;
}

/* What a line has counted goes to its session; if another one has its key by now, nowhere. */
ms_inline void ms_line_give(struct ms_line *line, struct ms_session *session)
{
	const __u32 second = (line->ends & MS_LINE_BACKWARD) != 0;
	const __u64 packets = line->life >> MS_LINE_UNTIL_BITS, bytes = line->bytes;

	line->life &= MS_LINE_UNTIL;
	line->bytes = 0;
	if (line->ends >> MS_LINE_COOKIE_BIT == (__u16)session->cookie)
		ms_session_add(session, (session->flags & MS_SESSION_CLIENT_IS_SECOND) != second, packets, bytes);
}

/* The same for a line whose session isn't at hand. */
ms_inline void ms_line_settle(const int family, struct ms_line *line)
{
	const __u64 ends = line->ends & MS_LINE_ENDS & ~MS_LINE_BACKWARD;
	const struct ms_line4 *line4 = (const void *)line;
	const struct ms_line6 *line6 = (const void *)line;
	struct ms_session *session;
	union {
		struct ms_key4 key4;
		struct ms_key6 key6;
		__u64 word[5];
	} of;

	if (!(line->life >> MS_LINE_UNTIL_BITS))
		return;
	if (family == 4) {
		of.word[0] = line4->addresses;
		of.word[1] = ends;
		session = session4.lookup(&of.key4);
	} else {
		__builtin_memcpy(of.word, line6->addresses, sizeof(line6->addresses));
		of.word[4] = ends;
		session = session6.lookup(&of.key6);
	}
	if (session)
		ms_line_give(line, session);
}

/* A line at a place that doesn't speak any more. */
ms_inline struct ms_line *ms_line_free_at(const int family, __u32 place, __u32 generation, __u64 now)
{
	struct ms_line *line = ms_line_first(family, place);

	if (!line || !ms_line_is_live(line, generation, now))
		return line;
	line = ms_line_second(family, line);
	return ms_line_is_live(line, generation, now) ? 0 : line;
}

/* A line for a flow that has none, settled: one that doesn't speak any more, or whichever for the patient; or none. */
ms_inline struct ms_line *ms_line_new(const int family, const struct ms_seat *seat, const struct ms_session *session,
				      __u32 generation, __u64 now)
{
	const __u32 waited = session->packets[0] + session->packets[1];
	struct ms_line *line = ms_line_free_at(family, seat->place[0], generation, now);

	if (!line)
		line = ms_line_free_at(family, seat->place[1], generation, now);
	if (!line && waited % MS_LINE_PATIENCE == 0)
		line = ms_line_first(family, seat->place[0]);
	if (line)
		ms_line_settle(family, line);
	return line;
}

/*
 * Have a line answer for the next packets of a steady session: for a second, and for an eighth of its idle timeout. The
 * session takes the end of that for the time of its last packet, so that it never times out too early.
 */
ms_inline void ms_flow_take(const int family, const struct ms_packet *packet, const struct ms_seat *seat,
			    struct ms_session *session, __u32 generation, __u64 now)
{
	struct ms_line *line = ms_line_of(family, packet, seat);
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	__u64 span = session->idle_limit / 8;

	if (line)
		ms_line_give(line, session);
	else
		line = ms_line_new(family, seat, session, generation, now);
	if (!line || !settings)
		return;
	if (span > settings->hz)
		span = settings->hz;
	if (span > MS_LINE_LONGEST)
		span = MS_LINE_LONGEST;
	line->bytes = 0;
	line->life = (now + span) & MS_LINE_UNTIL;
	line->ends = seat->ends | (__u64)(__u16)session->cookie << MS_LINE_COOKIE_BIT;
	if (family == 4)
		((struct ms_line4 *)line)->addresses = packet->word[0];
	else
		__builtin_memcpy(((struct ms_line6 *)line)->addresses, packet->word, 32);
	line->generation = generation;
	ms_session_seen(session, now + span);
}

ms_inline void ms_line_end(const int family, const struct ms_packet *packet, const struct ms_seat *seat)
{
	struct ms_line *line = ms_line_of(family, packet, seat);

	if (!line)
		return;
	ms_line_settle(family, line);
	line->generation = 0;
}

/* Both lines of this flow on this CPU speak no more: its session is about to change. */
ms_inline void ms_flow_end(const int family, const struct ms_packet *packet, const struct ms_seat *seat)
{
	const struct ms_seat back = ms_back(seat);

	ms_line_end(family, packet, seat);
	ms_line_end(family, packet, &back);
}

#endif
