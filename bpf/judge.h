/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The rest of a packet's way: sessions that open, answer or close, judgement, counts and events. */
#ifndef MICROSEG_JUDGE_H
#define MICROSEG_JUDGE_H

#include "events.h"
#include "policy.h"
#include "session.h"
#include "stats.h"

ms_inline int ms_is_icmp(const struct ms_packet *packet)
{
	return packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6;
}

ms_inline int ms_is_syn(const struct ms_packet *packet)
{
	return (packet->tcp_flags & (MS_TCP_SYN | MS_TCP_ACK)) == MS_TCP_SYN;
}

ms_inline int ms_passes(const struct ms_search *s)
{
	return s->verdict == MS_VERDICT_ALLOW || s->verdict == MS_VERDICT_AUDIT;
}

/* Ask about `client` sending this; of a known session, its opener's first packet again. */
ms_inline void ms_ask(struct ms_scratch *scratch, __u32 client)
{
	const struct ms_packet *packet = &scratch->packet;
	const __be16 *port = packet->family == 4 ? packet->key4.port : packet->key6.port;
	__u16 request = (packet->family == 4 ? MS_ECHO_REQUEST4 : MS_ECHO_REQUEST6) << 8;
	struct ms_question *question = &scratch->question;

	question->client = client;
	if (ms_is_icmp(packet)) {
		question->source_port = 0;
		question->destination_port = scratch->known ? request : packet->icmp;
	} else {
		question->source_port = bpf_ntohs(client ? port[1] : port[0]);
		question->destination_port = bpf_ntohs(client ? port[0] : port[1]);
	}
}

/* Open a session for a packet that passed. */
ms_inline void ms_open(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	struct ms_session session = {};
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	const struct ms_search *s = &scratch->search;

	if (!settings)
		return;
	session.generation = scratch->generation;
	session.rule = s->rule;
	session.verdict = s->verdict;
	session.flags = (scratch->question.client ? MS_SESSION_CLIENT_IS_SECOND : 0) |
			(s->flags & MS_ENTRY_LOG ? MS_SESSION_LOG : 0) | (scratch->adopt ? MS_SESSION_ADOPTED : 0);
	session.state = MS_STATE_OPENING;
	if (scratch->adopt)
		session.state = ms_next_state(&session, &scratch->packet);
	session.idle_limit = ms_idle_limit(settings, scratch->packet.protocol, session.state, session.flags);
	session.created_s = ms_boot_s();
	session.ifindex = ms_frame_ifindex(frame);
	ms_session_count(&session, &scratch->packet, scratch->now);
	if (ms_opening_store(&scratch->packet, &session))
		stats->sessions_full++;
	else
		stats->sessions_created++;
}

/* A packet of a session that was judged under another generation. */
ms_inline __u32 ms_rejudged(struct ms_stats *stats, struct ms_scratch *scratch)
{
	struct ms_session *session;
	__u32 opening = 0;

	stats->rejudged++;
	if (!ms_passes(&scratch->search)) {
		ms_session_delete(&scratch->packet);
		return MS_DROP_REVOKED;
	}
	session = ms_session_find(&scratch->packet);
	if (!session) {
		session = ms_opening_find(&scratch->packet);
		opening = 1;
	}
	if (session) {
		session->rule = scratch->search.rule;
		session->verdict = scratch->search.verdict;
		session->generation = scratch->generation;
		ms_session_advance(session, &scratch->packet, scratch->now, opening);
	}
	return MS_PASS_REJUDGED;
}

/* Find the session of a packet that is not steady. Returns the outcome, or 0 when it has to be judged. */
ms_inline __u32 ms_follow(struct ms_scratch *scratch)
{
	struct ms_packet *packet = &scratch->packet;
	struct ms_session *session;
	__u32 opening = 0;

	if (packet->kind == MS_KIND_MESSAGE) {
		ms_ask(scratch, packet->reversed);
		return 0;
	}
	session = ms_session_find(packet);
	if (!session) {
		session = ms_opening_find(packet);
		opening = 1;
	}
	if (session &&
	    (ms_session_expired(session, scratch->now) || (session->state >= MS_STATE_CLOSING && ms_is_syn(packet)))) {
		ms_session_delete(packet);
		session = 0;
	}
	if (!session) {
		scratch->adopt = packet->protocol == IPPROTO_TCP && !ms_is_syn(packet);
		ms_ask(scratch, packet->reversed);
		return scratch->adopt && !ms_adopting() ? MS_DROP_NO_SESSION : 0;
	}
	if (session->generation == scratch->generation) {
		ms_session_advance(session, packet, scratch->now, opening);
		return MS_PASS_SESSION;
	}
	scratch->known = 1;
	ms_ask(scratch, (session->flags & MS_SESSION_CLIENT_IS_SECOND) != 0);
	return 0;
}

/* Turn the answer of the search into an outcome. */
ms_inline __u32 ms_conclude(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	const struct ms_search *s = &scratch->search;
	__u32 audit = s->verdict == MS_VERDICT_AUDIT;

	scratch->judged = 1;
	scratch->report = audit || (!scratch->known && s->flags & MS_ENTRY_LOG);
	ms_count_rule(stats, s->rule, scratch->packet.length);
	if (scratch->known)
		return ms_rejudged(stats, scratch);
	if (!ms_passes(s))
		return ms_denial(s);
	if (scratch->packet.kind == MS_KIND_FLOW)
		ms_open(frame, stats, scratch);
	if (audit)
		return MS_PASS_AUDIT;
	if (scratch->packet.kind != MS_KIND_FLOW)
		return MS_PASS_STATELESS;
	return scratch->adopt ? MS_PASS_ADOPTED : MS_PASS_NEW;
}

/* The answer to user space: outcome (0: judged), rule, verdict | flags << 8, precedence, probes | nonce << 16. */
ms_inline int ms_answer(ms_frame *frame, const struct ms_scratch *scratch)
{
	const __u32 word[5] = {
	    scratch->outcome,
	    scratch->search.rule,
	    scratch->search.verdict | scratch->search.flags << 8,
	    scratch->search.precedence,
	    (scratch->search.probes & 0xffff) | scratch->now << 16,
	};

	ms_frame_answer(frame, word);
	return MS_RETURN_PASS;
}

ms_inline int ms_exit(ms_frame *frame, struct ms_stats *stats, struct ms_scratch *scratch)
{
	__u32 outcome = scratch->outcome;

	stats->outcome[outcome & (MS_OUTCOME_SLOTS - 1)]++;
	if (scratch->report || outcome >= MS_FIRST_DROP)
		ms_report(frame, stats, scratch);
	ms_trace("microseg: outcome %u rule %x family %u", outcome, scratch->search.rule, scratch->packet.family);
	return outcome >= MS_FIRST_DROP ? MS_RETURN_DROP : MS_RETURN_PASS;
}

ms_inline int ms_rest(ms_frame *frame)
{
	int zero = 0;
	struct ms_scratch *rest = scratch.lookup(&zero);
	struct ms_stats *counts = stats.lookup(&zero);

	if (!rest || !counts)
		return MS_RETURN_DROP;
	if (rest->probe && !rest->outcome)
		ms_ask(rest, rest->packet.reversed);
	else if (!rest->outcome && !rest->attempt)
		rest->outcome = ms_follow(rest);
	if (!rest->outcome)
		rest->outcome = ms_judge(rest);
	if (rest->probe)
		return ms_answer(frame, rest);
	if (!rest->outcome) {
		if (rest->adopt && !rest->attempt && !ms_passes(&rest->search)) {
			rest->attempt = 1; /* either direction may have opened it */
			ms_ask(rest, !rest->packet.reversed);
			jumps.call(frame, MS_JUMP_JUDGE);
		}
		rest->outcome = ms_conclude(frame, counts, rest);
	}
	return ms_exit(frame, counts, rest);
}

#endif
