/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The hot path: parse, ask the flow cache or the session, count, pass. Everything else goes on in judge.h. */
#ifndef MICROSEG_FILTER_H
#define MICROSEG_FILTER_H

#include "debug.h"
#include "denied.h"
#include "flow_cache.h"
#include "judged.h"
#include "parse.h"
#include "scratch.h"
#include "session.h"

/* Read the word once and return the generation in force (I1); past the deadline it is the other slot's. */
ms_inline __u32 ms_generation(void)
{
	int zero = 0, other;
	__u64 *word = policy_root.lookup(&zero), root;
	struct ms_slot_config *previous;
	__u32 deadline;

	if (!word)
		return 0;
	root = *(volatile __u64 *)word;
	deadline = root >> 32;
	if (!deadline || ms_boot_s() < deadline)
		return root;
	other = !(root & 1);
	previous = slot_config.lookup(&other);
	return previous ? previous->generation : 0;
}

/* Hand the packet over. Returns only when the tail call fails, which drops it (I6). */
ms_inline void ms_hand_over(ms_frame *frame, struct ms_scratch *scratch, const struct ms_packet *packet,
			    const int direction, const int jump)
{
	scratch->packet = *packet;
	scratch->direction = direction;
	scratch->steps = 0;
	jumps.call(frame, jump);
}

/* 1: the flow cache answers for this packet: it is counted and passes. */
ms_inline int ms_cached(const struct ms_packet *packet, const struct ms_seat *seat, __u32 generation, __u64 now)
{
	if (packet->unusual)
		return 0;
	if (packet->family == 4)
		return ms_flow_answers(4, packet, seat, generation, now);
	return ms_flow_answers(6, packet, seat, generation, now);
}

/* Have the processor fetch a line that is about to be needed. */
ms_inline void ms_fetch(const void *line)
{
	if (line)
		*(const volatile __u64 *)line;
}

/*
 * What is asked next when there is no established session, those that open and what was judged, lies in memory that
 * mostly no cache of the processor holds. Fetched here, all of it comes at the same time, and while the session is
 * still being looked for, since the processor goes on as it did with the packet before. Nothing hangs on it.
 */
ms_inline void ms_fetch_next(const int family, const struct ms_packet *packet)
{
	const __u64 tag = ms_opening_tag(packet);
	const __u16 port = ms_port(packet, !packet->reversed);

	ms_fetch(ms_opening_set_of(family, 0, tag));
	ms_fetch(ms_opening_set_of(family, 1, tag));
	if (family == 4)
		ms_fetch(ms_judged_line4(packet, packet->reversed, port));
	else
		ms_fetch(ms_judged_line6(packet, packet->reversed, port));
}

/* 1: so does its session, established and judged under the policy in force; the cache answers for the next ones. */
ms_inline int ms_goes_on(const int family, struct ms_packet *packet, const struct ms_seat *seat, __u32 generation,
			 __u64 now)
{
	struct ms_session *session;

	if (packet->unusual) {
		if (packet->signal) {
			ms_fetch_next(family, packet);
			ms_flow_end(family, packet, seat);
		}
		return 0;
	}
	session = family == 4 ? session4.lookup(&packet->key4) : session6.lookup(&packet->key6);
	if (!session) {
		ms_fetch_next(family, packet);
		/* Where a handshake is missing all depends on it, so that it is looked for again. */
		packet->absent = !ms_has_handshake(packet->protocol);
		return 0;
	}
	if (!ms_session_steady(session, generation, now)) {
		ms_flow_end(family, packet, seat);
		return 0;
	}
	ms_trace("session: steady, rule %x", session->rule);
	ms_session_count(session, packet, now);
	ms_flow_take(family, packet, seat, session, generation, now);
	return 1;
}

/* The filter: what to return to the kernel for this frame. */
ms_inline int ms_filter(ms_frame *frame, const int direction, const int link)
{
	struct ms_packet packet = {};
	struct ms_seat seat;
	int zero = 0, live = MS_SCRATCH_PACKET;
	struct ms_stats *counts = stats.lookup(&zero);
	struct ms_scratch *rest;
	__u32 generation, outcome;
	__u64 now;

	if (!counts)
		return MS_RETURN_DROP;
	generation = ms_generation();
	if (!generation) {
		counts->outcome[MS_PASS_NO_POLICY]++;
		return MS_RETURN_PASS;
	}
	now = bpf_jiffies64();
	outcome = ms_parse(frame, &packet, link);
	ms_trace_packet(&packet, outcome);
	if (!outcome && ms_denied_again(&packet, counts, generation, direction, now))
		return MS_RETURN_DROP;
	if (!outcome) {
		seat = packet.family == 4 ? ms_seat_of(4, &packet) : ms_seat_of(6, &packet);
		if (ms_cached(&packet, &seat, generation, now)) {
			counts->outcome[MS_PASS_SESSION]++;
			ms_trace("session: cached");
			return MS_RETURN_PASS;
		}
		if (packet.family == 4 ? ms_goes_on(4, &packet, &seat, generation, now)
				       : ms_goes_on(6, &packet, &seat, generation, now)) {
			counts->outcome[MS_PASS_SESSION]++;
			return MS_RETURN_PASS;
		}
	}
	rest = scratch.lookup(&live);
	if (rest) {
		rest->now = now;
		rest->generation = generation;
		rest->outcome = outcome;
		ms_hand_over(frame, rest, &packet, direction, MS_JUMP_JUDGE);
	}
	counts->outcome[MS_DROP_INTERNAL]++;
	return MS_RETURN_DROP;
}

#endif
