/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Sessions: one lookup for an established flow. A session is OPENING until the peer speaks, ANSWERED until the
 * opener speaks again, then STEADY; only then it moves from the opening map to the session map, so that neither
 * spoofed openers nor a peer that answers them can evict a session in use.
 */
#ifndef MICROSEG_SESSION_H
#define MICROSEG_SESSION_H

#include "maps.h"
#include "parse.h"

ms_inline __u32 ms_boot_s(void)
{
	return bpf_ktime_get_boot_ns() / 1000000000ULL;
}

/* Connections in progress are taken over for a while after the first attach. */
ms_inline int ms_adopting(void)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);

	return settings && settings->adopt_until_s && ms_boot_s() < settings->adopt_until_s;
}

ms_inline struct ms_session *ms_session_find(struct ms_packet *packet)
{
	if (packet->family == 4)
		return session4.lookup(&packet->key4);
	return session6.lookup(&packet->key6);
}

ms_inline struct ms_session *ms_opening_find(struct ms_packet *packet)
{
	if (packet->family == 4)
		return opening4.lookup(&packet->key4);
	return opening6.lookup(&packet->key6);
}

ms_inline long ms_session_store(struct ms_packet *packet, struct ms_session *session)
{
	if (packet->family == 4)
		return session4.update(&packet->key4, session);
	return session6.update(&packet->key6, session);
}

ms_inline long ms_opening_store(struct ms_packet *packet, struct ms_session *session)
{
	if (packet->family == 4)
		return opening4.update(&packet->key4, session);
	return opening6.update(&packet->key6, session);
}

ms_inline void ms_opening_delete(struct ms_packet *packet)
{
	if (packet->family == 4)
		opening4.delete(&packet->key4);
	else
		opening6.delete(&packet->key6);
}

ms_inline void ms_session_delete(struct ms_packet *packet)
{
	if (packet->family == 4)
		session4.delete(&packet->key4);
	else
		session6.delete(&packet->key6);
	ms_opening_delete(packet);
}

/* 1 when the packet comes from the server of this session. */
ms_inline __u32 ms_from_server(const struct ms_session *session, const struct ms_packet *packet)
{
	return (session->flags & MS_SESSION_CLIENT_IS_SECOND) != packet->reversed;
}

/* Other CPUs may have stored a later time than this one read. */
ms_inline int ms_session_expired(const struct ms_session *session, __u64 now)
{
	return (__s64)(now - session->last_seen) > (__s64)session->idle_limit;
}

ms_inline void ms_session_count(struct ms_session *session, const struct ms_packet *packet, __u64 now)
{
	__u32 from = ms_from_server(session, packet);

	if (from) {
		session->packets[1]++;
		session->bytes[1] += packet->length;
	} else {
		session->packets[0]++;
		session->bytes[0] += packet->length;
	}
	session->last_seen = now;
}

/* The packet of an established flow under an unchanged policy: nothing to decide. */
ms_inline int ms_session_steady(const struct ms_session *session, const struct ms_packet *packet, __u32 generation,
				__u64 now)
{
	return session->generation == generation && session->state == MS_STATE_STEADY &&
	       !ms_session_expired(session, now) &&
	       (packet->protocol != IPPROTO_TCP || (packet->tcp_flags & MS_TCP_STATEFUL) == MS_TCP_ACK);
}

/* Which idle timeout a session is under. */
ms_inline __u32 ms_idle_of(__u8 protocol, __u8 state, __u8 flags)
{
	switch (protocol) {
	case IPPROTO_TCP:
		if (state == MS_STATE_CLOSED)
			return MS_IDLE_TCP_CLOSED;
		if (state == MS_STATE_CLOSING)
			return MS_IDLE_TCP_CLOSING;
		return state == MS_STATE_STEADY || (flags & MS_SESSION_ADOPTED) ? MS_IDLE_TCP_STEADY
										: MS_IDLE_TCP_OPENING;
	case IPPROTO_UDP:
		return state == MS_STATE_STEADY ? MS_IDLE_UDP_STEADY : MS_IDLE_UDP_OPENING;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return MS_IDLE_ICMP;
	default:
		return MS_IDLE_OTHER;
	}
}

ms_inline __u32 ms_idle_limit(const struct ms_settings *settings, __u8 protocol, __u8 state, __u8 flags)
{
	__u32 index = ms_idle_of(protocol, state, flags);

	/* The compiler sees that the mask changes nothing, and drops it; verifiers before 6.10 don't see it. */
	asm volatile("" : "+r"(index));
	return settings->idle[index & (MS_IDLE_SLOTS - 1)];
}

/* The state after this packet. */
ms_inline __u8 ms_next_state(struct ms_session *session, const struct ms_packet *packet)
{
	__u32 from_server = ms_from_server(session, packet);
	__u8 both = MS_SESSION_CLIENT_FIN | MS_SESSION_SERVER_FIN;

	if (packet->tcp_flags & MS_TCP_RST)
		return MS_STATE_CLOSED;
	if (packet->tcp_flags & MS_TCP_FIN)
		session->flags |= from_server ? MS_SESSION_SERVER_FIN : MS_SESSION_CLIENT_FIN;
	if ((session->flags & both) == both)
		return MS_STATE_CLOSED;
	if (session->flags & both)
		return MS_STATE_CLOSING;
	if (session->state == MS_STATE_OPENING && from_server)
		return MS_STATE_ANSWERED;
	if (session->state == MS_STATE_ANSWERED && !from_server)
		return MS_STATE_STEADY;
	return session->state;
}

/* Count the packet, take the session to its next state and, when that is where it belongs, to the session map. */
ms_inline void ms_session_advance(struct ms_session *session, struct ms_packet *packet, __u64 now, __u32 opening)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	__u8 next = ms_next_state(session, packet);

	ms_session_count(session, packet, now);
	if (next == session->state || !settings)
		return;
	session->state = next;
	session->idle_limit = ms_idle_limit(settings, packet->protocol, next, session->flags);
	if (opening && next == MS_STATE_STEADY && ms_session_store(packet, session) == 0)
		ms_opening_delete(packet);
}

#endif
