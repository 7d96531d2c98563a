/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a session has come (docs/data-plane.md has the table). Sequence numbers aren't followed; so a packet that
 * the receiver may refuse as stale or forged must not end or reopen a session for good.
 */
#ifndef MICROSEG_STATES_H
#define MICROSEG_STATES_H

#include "session.h"

#define MS_BOTH_FIN (MS_SESSION_CLIENT_FIN | MS_SESSION_SERVER_FIN)

/* Which idle timeout a session is under. */
ms_inline __u32 ms_idle_of(__u8 protocol, __u8 state, __u8 flags)
{
	const int steady = state == MS_STATE_STEADY || flags & MS_SESSION_ADOPTED;

	switch (protocol) {
	case IPPROTO_TCP:
		if (state == MS_STATE_CLOSED)
			return MS_IDLE_TCP_CLOSED;
		if (state == MS_STATE_CLOSING)
			return MS_IDLE_TCP_CLOSING;
		return steady ? MS_IDLE_TCP_STEADY : MS_IDLE_TCP_OPENING;
	case IPPROTO_SCTP:
		if (state >= MS_STATE_CLOSING)
			return MS_IDLE_SCTP_CLOSED;
		return steady ? MS_IDLE_SCTP_STEADY : MS_IDLE_SCTP_OPENING;
	case IPPROTO_UDP:
		return steady ? MS_IDLE_UDP_STEADY : MS_IDLE_UDP_OPENING;
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

/* The state after a packet that neither closes nor aborts. */
ms_inline __u8 ms_opened(const struct ms_session *session, const struct ms_packet *packet, __u8 state)
{
	const int handshake = ms_has_handshake(packet->protocol) && !(session->flags & MS_SESSION_ADOPTED);
	const __u32 from_server = ms_from_server(session, packet);

	if (state == MS_STATE_OPENING && from_server && (!handshake || packet->signal & MS_SIGNAL_ANSWER))
		return MS_STATE_ANSWERED;
	if (state == MS_STATE_ANSWERED && !from_server && !(packet->signal & MS_SIGNAL_OPEN))
		return MS_STATE_STEADY;
	return state;
}

/*
 * Who has aborted doesn't speak again: the abort was forged, or overtook what was sent before. Returns the state to
 * go on from, CLOSED when there is no such sign.
 */
ms_inline __u8 ms_revived(struct ms_session *session, const struct ms_packet *packet, __u32 opening)
{
	const __u8 aborted = ms_from_server(session, packet) ? MS_SESSION_SERVER_ABORT : MS_SESSION_CLIENT_ABORT;

	if (!(session->flags & aborted) || packet->signal & MS_SIGNAL_OPEN)
		return MS_STATE_CLOSED;
	session->flags &= ~(MS_SESSION_SERVER_ABORT | MS_SESSION_CLIENT_ABORT);
	if (!opening)
		return MS_STATE_STEADY;
	return session->packets[1] ? MS_STATE_ANSWERED : MS_STATE_OPENING;
}

/* The state after this packet, which isn't counted yet. */
ms_inline __u8 ms_next_state(struct ms_session *session, const struct ms_packet *packet, __u32 opening)
{
	const __u32 from_server = ms_from_server(session, packet);
	const int adopted = session->flags & MS_SESSION_ADOPTED;
	__u8 state = session->state;

	if (packet->signal & MS_SIGNAL_ABORT) {
		/* Before the handshake, only what acknowledges the opening is an answer to it (RFC 9293 3.10.7.3). */
		if (state == MS_STATE_OPENING && from_server && !adopted && !(packet->signal & MS_SIGNAL_ACK))
			return state;
		session->flags |= from_server ? MS_SESSION_SERVER_ABORT : MS_SESSION_CLIENT_ABORT;
		return MS_STATE_CLOSED;
	}
	if (state == MS_STATE_CLOSED)
		state = ms_revived(session, packet, opening);
	if (state == MS_STATE_CLOSED)
		return state;
	state = ms_opened(session, packet, state);
	if (state == MS_STATE_OPENING && !adopted)
		return state;
	if (packet->signal & MS_SIGNAL_CLOSE)
		session->flags |= from_server ? MS_SESSION_SERVER_FIN : MS_SESSION_CLIENT_FIN;
	if ((session->flags & MS_BOTH_FIN) == MS_BOTH_FIN)
		return MS_STATE_CLOSED;
	return state >= MS_STATE_STEADY && session->flags & MS_BOTH_FIN ? MS_STATE_CLOSING : state;
}

/* Count the packet, take the session to its next state and, once it is established, to the session map. */
ms_inline void ms_session_advance(struct ms_session *session, struct ms_packet *packet, __u64 now, __u32 opening)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	__u8 next = ms_next_state(session, packet, opening);

	ms_session_count(session, packet, now);
	if (next == session->state || !settings)
		return;
	session->state = next;
	session->idle_limit = ms_idle_limit(settings, packet->protocol, next, session->flags);
	if (opening && (next == MS_STATE_STEADY || next == MS_STATE_CLOSING) && ms_session_store(packet, session) == 0)
		ms_opening_delete(packet);
}

#endif
