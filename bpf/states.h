/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How far a session has come (docs/data-plane.md has the table). Sequence numbers aren't followed; so a packet that
 * the receiver may refuse as stale or forged must not end or reopen a session for good.
 */
#ifndef MICROSEG_STATES_H
#define MICROSEG_STATES_H

#include "denied.h"
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

/* 32 bits of the transport header. */
ms_inline __u32 ms_transport_word(ms_frame *frame, const struct ms_packet *packet, __u32 offset)
{
	__be32 word = 0;

	return ms_frame_load(frame, packet->transport + offset, &word, sizeof(word)) ? 0 : bpf_ntohl(word);
}

/*
 * A server's answer goes to the address that the opener gave, and holds a number of the server's choice. An opener
 * that repeats it has got the answer: its address is its own. TCP: the sequence number behind the SYN, to be
 * acknowledged; SCTP: the tag of INIT ACK, to be in each packet (a HEARTBEAT has shown it before it is answered).
 */
ms_inline void ms_challenge(ms_frame *frame, struct ms_session *session, const struct ms_packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		session->challenge = ms_transport_word(frame, packet, 4) + 1;
	else if (!(packet->signal & MS_SIGNAL_ACK))
		session->challenge = ms_transport_word(frame, packet, 16);
}

/* A TCP server may send as much behind its SYN as the SYN's window allows, which is never scaled (RFC 7323 2.2). */
ms_inline int ms_meets_challenge(ms_frame *frame, const struct ms_session *session, const struct ms_packet *packet)
{
	if (packet->protocol == IPPROTO_TCP)
		return ms_transport_word(frame, packet, 8) - session->challenge <= 0xffff;
	return ms_transport_word(frame, packet, 4) == session->challenge;
}

/* The state after a packet that neither closes nor aborts. */
ms_inline __u8 ms_opened(ms_frame *frame, struct ms_session *session, const struct ms_packet *packet, __u8 state)
{
	const int handshake = ms_has_handshake(packet->protocol) && !(session->flags & MS_SESSION_ADOPTED);

	if (state >= MS_STATE_STEADY)
		return state;
	if (ms_from_server(session, packet)) {
		if (handshake && !(packet->signal & MS_SIGNAL_ANSWER))
			return state;
		if (handshake)
			ms_challenge(frame, session, packet);
		session->flags |= MS_SESSION_ANSWERED;
		return MS_STATE_ANSWERED;
	}
	if (state == MS_STATE_OPENING || packet->signal & MS_SIGNAL_OPEN)
		return state;
	return !handshake || ms_meets_challenge(frame, session, packet) ? MS_STATE_STEADY : state;
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
	return session->flags & MS_SESSION_ANSWERED ? MS_STATE_ANSWERED : MS_STATE_OPENING;
}

/* The state after this packet, which isn't counted yet. */
ms_inline __u8 ms_next_state(ms_frame *frame, struct ms_session *session, const struct ms_packet *packet, __u32 opening)
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
	state = ms_opened(frame, session, packet, state);
	if (state == MS_STATE_OPENING && !adopted)
		return state;
	if (packet->signal & MS_SIGNAL_CLOSE)
		session->flags |= from_server ? MS_SESSION_SERVER_FIN : MS_SESSION_CLIENT_FIN;
	if ((session->flags & MS_BOTH_FIN) == MS_BOTH_FIN)
		return MS_STATE_CLOSED;
	return state >= MS_STATE_STEADY && session->flags & MS_BOTH_FIN ? MS_STATE_CLOSING : state;
}

/* Count the packet, take the session to its next state and, once it is established, to the session map. */
ms_inline void ms_session_advance(ms_frame *frame, struct ms_session *session, struct ms_packet *packet, __u64 now,
				  __u32 opening)
{
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	__u8 next = ms_next_state(frame, session, packet, opening);

	ms_session_count(session, packet, now);
	if (next == session->state || !settings)
		return;
	session->state = next;
	session->idle_limit = ms_idle_limit(settings, packet->protocol, next, session->flags);
	if (!opening || (next != MS_STATE_STEADY && next != MS_STATE_CLOSING))
		return;
	session->ifindex = ms_frame_ifindex(frame);
	if (ms_session_store(packet, session) == 0)
		ms_opening_end(packet);
	ms_openings_tell(packet); /* who missed it in both maps meanwhile may have denied it */
}

#endif
