/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rest of a packet's way: sessions that open, answer or close, judgement, counts and events. */
#ifndef MICROSEG_JUDGE_H
#define MICROSEG_JUDGE_H

#include "answer.h"
#include "debug.h"
#include "denied.h"
#include "events.h"
#include "fragment.h"
#include "policy.h"
#include "quote.h"
#include "states.h"
#include "stats.h"
#include "unasked.h"

/* Of a session: its rule asks for events. */
ms_inline __u8 ms_log_flag(const struct ms_search *s)
{
	return s->flags & MS_ENTRY_LOG ? MS_SESSION_LOG : 0;
}

ms_inline int ms_passes(const struct ms_search *s)
{
	return s->verdict == MS_VERDICT_ALLOW || s->verdict == MS_VERDICT_AUDIT;
}

/* Ask about `client` sending this; of a known session, its opener's first packet again. */
ms_inline void ms_ask(struct ms_scratch *scratch, __u32 client)
{
	const struct ms_packet *packet = &scratch->packet;
	__u16 request = (packet->family == 4 ? MS_ECHO_REQUEST4 : MS_ECHO_REQUEST6) << 8;
	struct ms_question *question = &scratch->question;

	question->client = client;
	if (ms_is_icmp(packet)) {
		question->source_port = 0;
		question->destination_port = scratch->known || scratch->related == MS_RELATED ? request : packet->icmp;
	} else {
		question->source_port = ms_port(packet, client);
		question->destination_port = ms_port(packet, !client);
	}
}

/* Open a session for a packet that passed. */
ms_inline void ms_open(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	struct ms_session session = {};
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	const struct ms_search *s = &scratch->search;
	__u64 server;

	if (!settings)
		return;
	session.generation = scratch->generation;
	session.rule = s->rule;
	session.verdict = s->verdict;
	session.flags = (scratch->question.client ? MS_SESSION_CLIENT_IS_SECOND : 0) | ms_log_flag(s) |
			(scratch->adopt ? MS_SESSION_ADOPTED : 0);
	session.state = MS_STATE_OPENING;
	if (scratch->adopt)
		session.state = ms_next_state(frame, &session, &scratch->packet, 1);
	session.idle_limit = ms_idle_limit(settings, scratch->packet.protocol, session.state, session.flags);
	session.cookie = ms_session_cookie(stats);
	if (scratch->packet.signal & MS_SIGNAL_PROBE)
		session.challenge = ms_transport_word(frame, &scratch->packet, 4);
	session.last_seen = scratch->now;
	server = ms_from_server(&session, &scratch->packet);
	session.packets[0] = !server;
	session.packets[1] = server;
	session.bytes[0] = server ? 0 : scratch->packet.length;
	session.bytes[1] = server ? scratch->packet.length : 0;
	if (scratch->reopen)
		ms_session_delete(&scratch->packet);
	if (ms_opening_keep(&scratch->packet, &session)) {
		stats->sessions_full++;
		return;
	}
	stats->sessions_created++;
	ms_openings_tell(&scratch->packet);
}

/* A packet of a session that was judged under another generation. */
ms_inline __u32 ms_rejudged(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	struct ms_session *session;
	__u32 opening;

	stats->rejudged++;
	if (!ms_passes(&scratch->search)) {
		ms_session_delete(&scratch->packet);
		return MS_DROP_REVOKED;
	}
	session = ms_find(&scratch->packet, 0, &opening);
	if (session) {
		session->rule = scratch->search.rule;
		session->verdict = scratch->search.verdict;
		session->flags = (session->flags & ~MS_SESSION_LOG) | ms_log_flag(&scratch->search);
		session->generation = scratch->generation;
		ms_session_advance(frame, session, &scratch->packet, scratch->now, opening);
	}
	return MS_PASS_REJUDGED;
}

/* A packet of no session: ask, unless it can't be the first one. Returns an outcome, 0 to judge. */
ms_inline __u32 ms_unknown(struct ms_scratch *scratch)
{
	const struct ms_packet *packet = &scratch->packet;

	scratch->adopt = ms_has_handshake(packet->protocol) && !(packet->signal & (MS_SIGNAL_OPEN | MS_SIGNAL_PROBE));
	scratch->alone = ms_is_echo_reply(packet);
	ms_trace("session: none, in progress %u", scratch->adopt);
	ms_ask(scratch, packet->reversed);
	return scratch->adopt && !ms_adopting() ? MS_DROP_NO_SESSION : 0;
}

/*
 * A SYN or INIT where there is a session. From the client of a closed one it opens it anew; from anybody's else it is
 * judged for itself, since a session lets its server answer, not open; otherwise it is a repetition, or a challenge
 * that the receiver answers. Returns 1 when it has to be judged.
 */
ms_inline int ms_opens_again(struct ms_scratch *scratch, const struct ms_session *session)
{
	const struct ms_packet *packet = &scratch->packet;

	if (!(packet->signal & MS_SIGNAL_OPEN))
		return 0;
	if (session->state == MS_STATE_CLOSED)
		scratch->reopen = 1;
	else if (ms_from_server(session, packet))
		scratch->alone = 1;
	else
		return 0;
	ms_ask(scratch, packet->reversed);
	return 1;
}

/* Find the session of a packet. Returns the outcome, or 0 when it has to be judged. */
ms_inline __u32 ms_follow(ms_frame *frame, struct ms_scratch *scratch)
{
	struct ms_packet *packet = &scratch->packet;
	struct ms_session *session;
	__u32 opening;

	scratch->opened = ms_openings_now(packet);
	session = ms_find(packet, packet->absent, &opening);
	if (session && ms_session_expired(session, scratch->now)) {
		ms_trace("session: expired");
		ms_session_delete(packet);
		session = 0;
	}
	if (!session)
		return ms_unknown(scratch);
	ms_trace("session: state %u generation %u opening %u", session->state, session->generation, opening);
	if (ms_opens_again(scratch, session))
		return 0;
	if (session->generation == scratch->generation) {
		ms_session_advance(frame, session, packet, scratch->now, opening);
		return MS_PASS_SESSION;
	}
	scratch->known = 1;
	ms_ask(scratch, (session->flags & MS_SESSION_CLIENT_IS_SECOND) != 0);
	return 0;
}

/* Decide without the policy where that can be. Returns an outcome, or 0 with a question to judge. */
ms_inline __u32 ms_sort(ms_frame *frame, struct ms_scratch *scratch)
{
	struct ms_packet *packet = &scratch->packet;
	__u32 outcome;

	if (scratch->related) { /* an ICMP error, looked into */
		ms_ask(scratch, packet->reversed);
		return scratch->outcome;
	}
	outcome = !scratch->outcome && ms_is_own_answer(frame, packet) ? MS_PASS_ANSWER : ms_unasked(scratch);
	if (outcome)
		return outcome;
	if (ms_is_impossible_source(packet))
		return MS_DROP_SOURCE;
	switch (packet->kind) {
	case MS_KIND_FRAGMENT:
		return ms_fragment_follow(scratch);
	case MS_KIND_ERROR:
		jumps.call(frame, MS_JUMP_QUOTE);
		return MS_DROP_INTERNAL;
	case MS_KIND_MESSAGE:
		scratch->alone = 1;
		ms_ask(scratch, packet->reversed);
		return 0;
	default:
		return ms_follow(frame, scratch);
	}
}

/* Turn the answer of the search into an outcome. */
ms_inline __u32 ms_conclude(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	const struct ms_search *s = &scratch->search;
	__u32 audit = s->verdict == MS_VERDICT_AUDIT, again = scratch->known || scratch->related == MS_RELATED;

	scratch->judged = 1;
	scratch->report = audit || (!again && s->flags & MS_ENTRY_LOG);
	if (scratch->known)
		return ms_rejudged(frame, stats, scratch);
	if (scratch->related == MS_RELATED)
		return ms_passes(s) ? MS_PASS_ICMP_ERROR : MS_DROP_REVOKED;
	if (!ms_passes(s)) {
		if (s->verdict == MS_VERDICT_DENY && !scratch->adopt)
			ms_denied_remember(&scratch->packet, scratch->generation, scratch->direction, scratch->now,
					   s->rule, scratch->opened);
		return ms_denial(s);
	}
	if (!scratch->alone && !scratch->related)
		ms_open(frame, stats, scratch);
	if (audit)
		return MS_PASS_AUDIT;
	if (scratch->alone || scratch->related)
		return MS_PASS_STATELESS;
	return scratch->adopt ? MS_PASS_ADOPTED : MS_PASS_NEW;
}

/* The one way out: count the outcome, report it, remember a first fragment, answer what was rejected. */
ms_inline int ms_exit(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	const __u32 outcome = scratch->outcome, drops = outcome >= MS_FIRST_DROP;

	stats->outcome[outcome & (MS_OUTCOME_SLOTS - 1)]++;
	if (scratch->report || drops)
		ms_report(frame, stats, scratch);
	if (scratch->packet.fragmented && !scratch->related)
		ms_fragment_remember(scratch, !drops);
	ms_trace("outcome %u, judged %u by rule %x", outcome, scratch->judged, scratch->search.rule);
	if (!drops)
		return MS_RETURN_PASS;
	if (scratch->judged && scratch->search.verdict == MS_VERDICT_REJECT)
		jumps.call(frame, MS_JUMP_ANSWER);
	return MS_RETURN_DROP;
}

/* What was written to memory is read again: the verifier knows nothing of it then, and joins the ways until there. */
#define MS_JOIN() asm volatile("" : : : "memory")

ms_inline int ms_rest(ms_frame *frame)
{
	int zero = 0, live = MS_SCRATCH_PACKET;
	struct ms_scratch *rest = scratch.lookup(&live);
	struct ms_stats *counts = stats.lookup(&zero);

	if (!rest || !counts)
		return MS_RETURN_DROP;
	if (!rest->attempt)
		rest->outcome = ms_sort(frame, rest);
	if (!rest->outcome)
		rest->outcome = ms_judge(rest, 1);
	if (!rest->outcome) {
		if (rest->packet.absent && !ms_passes(&rest->search) && ms_session_find(&rest->packet)) {
			rest->packet.absent = 0; /* it was established meanwhile: once more, from the beginning */
			rest->steps = 0;
			jumps.call(frame, MS_JUMP_JUDGE);
		}
		if (rest->adopt && !rest->attempt && !ms_passes(&rest->search)) {
			rest->attempt = 1; /* either direction may have opened it */
			ms_ask(rest, !rest->packet.reversed);
			jumps.call(frame, MS_JUMP_JUDGE);
		}
		rest->outcome = ms_conclude(frame, counts, rest);
		ms_count_rule(counts, rest->search.rule, rest->packet.length); /* last: nothing waits for its line */
	}
	MS_JOIN();
	return ms_exit(frame, counts, rest);
}

/* Look into an ICMP error, and come back. */
ms_inline int ms_rest_of_error(ms_frame *frame)
{
	int live = MS_SCRATCH_PACKET;
	struct ms_scratch *rest = scratch.lookup(&live);

	if (!rest)
		return MS_RETURN_DROP;
	ms_look_into(frame, rest);
	jumps.call(frame, MS_JUMP_JUDGE);
	return MS_RETURN_DROP;
}

/*
 * A question of user space, judged by the policy alone: outcome (0: judged) | protocol << 8 | destination port << 16,
 * rule, verdict | flags << 8 | source port << 16, precedence, probes | nonce << 16. Ports as in struct ms_question.
 */
ms_inline int ms_rest_of_question(ms_frame *frame)
{
	int question = MS_SCRATCH_QUESTION;
	struct ms_scratch *rest = scratch.lookup(&question);
	__u32 word[5];

	if (!rest)
		return MS_RETURN_DROP;
	rest->outcome = ms_unasked(rest);
	if (!rest->outcome && rest->packet.kind == MS_KIND_FRAGMENT)
		rest->outcome = MS_DROP_FRAGMENT;
	ms_ask(rest, rest->packet.reversed);
	if (!rest->outcome)
		rest->outcome = ms_judge(rest, 0);
	word[0] = rest->outcome | rest->packet.protocol << 8 | (__u32)rest->question.destination_port << 16;
	word[1] = rest->search.rule;
	word[2] = rest->search.verdict | rest->search.flags << 8 | (__u32)rest->question.source_port << 16;
	word[3] = rest->search.precedence;
	word[4] = (rest->search.probes & 0xffff) | rest->now << 16;
	ms_frame_answer(frame, word);
	return MS_RETURN_PASS;
}

#endif
