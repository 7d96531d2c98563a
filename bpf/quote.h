/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP errors belong to the session of the packet they quote, if it is one that the error's receiver can have sent:
 * the quoted source is the error's destination, and that side of the session has spoken. Sequence numbers are the
 * receiver's to check (RFC 5927). An error never opens, extends, counts in or closes a session.
 */
#ifndef MICROSEG_QUOTE_H
#define MICROSEG_QUOTE_H

#include "parse.h"
#include "scratch.h"
#include "session.h"

#define MS_ICMP_HEADER 8
#define MS_QUOTED_TRANSPORT 8 /* what every error quotes (RFC 792) */

/* Read ports or identifier into the key; `end` is that of the quote. Returns 1 when it names a session. */
ms_inline int ms_quote_transport(ms_frame *frame, struct ms_packet *quoted, const struct ms_cursor *at, __u32 end)
{
	__be16 words[MS_QUOTED_TRANSPORT / 2];

	quoted->protocol = at->next;
	if (quoted->family == 4)
		quoted->key4.protocol = at->next;
	else
		quoted->key6.protocol = at->next;
	if (!ms_transport_bytes(at->next))
		return 1;
	if (at->offset + sizeof(words) > end || ms_frame_load(frame, at->offset, words, sizeof(words)))
		return 0;
	if (ms_is_icmp(quoted)) {
		ms_parse_icmp(quoted, (const __u8 *)words);
		return quoted->kind == MS_KIND_FLOW;
	}
	ms_set_ports(quoted, words[0], words[1]);
	return 1;
}

/* 1 when the error goes to where the quoted packet came from. */
ms_inline int ms_quote_returns4(const struct ms_packet *error, __be32 source)
{
	return source == error->key4.address[error->reversed ? 0 : 1];
}

ms_inline int ms_quote_ipv4(ms_frame *frame, const struct ms_packet *error, struct ms_packet *quoted,
			    struct ms_cursor *at)
{
	const __u32 end = at->offset + at->length;
	struct iphdr ip;

	if (at->length < sizeof(ip) || ms_frame_load(frame, at->offset, &ip, sizeof(ip)))
		return 0;
	if (ip.version != 4 || ip.ihl < 5)
		return 0;
	if (ip.frag_off & bpf_htons(MS_IPV4_OFFSET) || !ms_quote_returns4(error, ip.saddr))
		return 0;
	quoted->family = 4;
	quoted->reversed = ip.saddr > ip.daddr;
	quoted->same = ip.saddr == ip.daddr;
	quoted->key4.address[0] = quoted->reversed ? ip.daddr : ip.saddr;
	quoted->key4.address[1] = quoted->reversed ? ip.saddr : ip.daddr;
	at->offset += ip.ihl * 4;
	at->next = ip.protocol;
	return ms_quote_transport(frame, quoted, at, end);
}

ms_inline int ms_quote_returns6(const struct ms_packet *error, const __be32 *source)
{
	const __be32 *to = error->reversed ? error->key6.address[0].word : error->key6.address[1].word;

	return source[0] == to[0] && source[1] == to[1] && source[2] == to[2] && source[3] == to[3];
}

ms_inline int ms_quote_ipv6(ms_frame *frame, const struct ms_packet *error, struct ms_packet *quoted,
			    struct ms_cursor *at)
{
	const __u32 end = at->offset + at->length;
	__be32 ip[10]; /* version.., length.., source[4], destination[4] */

	if (at->length < sizeof(ip) || ms_frame_load(frame, at->offset, ip, sizeof(ip)))
		return 0;
	if (bpf_ntohl(ip[0]) >> 28 != 6 || !ms_quote_returns6(error, ip + 2))
		return 0;
	quoted->family = 6;
	ms_order6(quoted, ip + 2, ip + 6);
	__builtin_memcpy(&quoted->key6.address[0], quoted->reversed ? ip + 6 : ip + 2, 16);
	__builtin_memcpy(&quoted->key6.address[1], quoted->reversed ? ip + 2 : ip + 6, 16);
	at->offset += sizeof(ip);
	at->length = bpf_ntohl(ip[1]) >> 16; /* that of the whole packet, for fragments to be of a right length */
	at->next = bpf_ntohl(ip[1]) >> 8;
	if (ms_skip_extensions(frame, quoted, at) || quoted->kind == MS_KIND_FRAGMENT)
		return 0;
	return ms_quote_transport(frame, quoted, at, end);
}

/* The live session of the quoted packet, or nothing. */
ms_inline struct ms_session *ms_quote_session(struct ms_packet *quoted, __u64 now)
{
	struct ms_session *session;
	__u32 opening, from_server;

	session = ms_find(quoted, 0, &opening);
	if (!session || ms_session_expired(session, now))
		return 0;
	from_server = ms_from_server(session, quoted);
	if (session->flags & MS_SESSION_ADOPTED)
		return session;
	return (from_server ? session->packets[1] : session->packets[0]) ? session : 0;
}

/*
 * Decide about an ICMP error: sets the outcome, or makes the opener of the quoted packet's session the one to judge
 * again, when that was judged under another generation.
 */
ms_inline void ms_look_into(ms_frame *frame, struct ms_scratch *scratch)
{
	const struct ms_packet *error = &scratch->packet;
	struct ms_packet quoted = {};
	struct ms_session *session = 0;
	struct ms_cursor at = {};
	int zero = 0, named = 0;
	struct ms_settings *settings = config.lookup(&zero);

	at.offset = error->transport + MS_ICMP_HEADER;
	at.length = error->payload - MS_ICMP_HEADER;
	if (error->family == 4)
		named = ms_quote_ipv4(frame, error, &quoted, &at);
	else
		named = ms_quote_ipv6(frame, error, &quoted, &at);
	if (named)
		session = ms_quote_session(&quoted, scratch->now);
	if (!session) {
		scratch->related = MS_RELATED_TO_NOTHING;
		if (!settings || !(settings->options & MS_OPTION_JUDGE_ICMP_ERRORS))
			scratch->outcome = MS_DROP_ICMP_ERROR;
		return;
	}
	scratch->related = MS_RELATED;
	if (session->generation == scratch->generation) {
		scratch->outcome = MS_PASS_ICMP_ERROR;
		return;
	}
	quoted.reversed = session->flags & MS_SESSION_CLIENT_IS_SECOND ? 1 : 0;
	quoted.length = error->length;
	scratch->error = scratch->packet;
	scratch->packet = quoted;
}

#endif
