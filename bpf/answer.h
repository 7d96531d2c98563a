/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answer to a rejected packet: the packet itself, rewritten and turned round at the interface it is at. TCP gets a
 * reset, UDP "port unreachable" (so that a socket's error is ECONNREFUSED, as with TCP), others "administratively
 * prohibited". What came in goes out again; what was to go out comes in, to the local stack. Either way the answer
 * meets the program of the other direction, which knows it by its mark and takes the mark off.
 */
#ifndef MICROSEG_ANSWER_H
#define MICROSEG_ANSWER_H

#include "budget.h"
#include "scratch.h"
#include "transport.h"

#define MS_HOP_LIMIT 64
#define MS_ICMP_TOS 0xc0 /* internetwork control (RFC 1812 4.3.2.5) */
#define MS_IPV4_DONT_FRAGMENT 0x4000
#define MS_UNREACHABLE4 3
#define MS_UNREACHABLE4_PORT 3
#define MS_UNREACHABLE4_PROHIBITED 13
#define MS_UNREACHABLE6 1
#define MS_UNREACHABLE6_PROHIBITED 1
#define MS_UNREACHABLE6_PORT 4

struct ms_tcp_header {
	__be16 source, destination;
	__be32 sequence, acknowledgement;
	__u8 words; /* << 4 */
	__u8 flags;
	__be16 window, checksum, urgent;
};

struct ms_icmp_header {
	__u8 type, code;
	__be16 checksum;
	__be32 zero;
};

struct ms_reset4 {
	struct iphdr ip;
	struct ms_tcp_header tcp;
};

struct ms_unreachable4 {
	struct iphdr ip;
	struct ms_icmp_header icmp;
	__u8 quoted[20 + 8];
};

struct ms_ipv6_header {
	__be32 version; /* and traffic class and flow label */
	__be16 payload;
	__u8 next, hop_limit;
	struct ms_address6 source, destination;
};

struct ms_reset6 {
	struct ms_ipv6_header ip;
	struct ms_tcp_header tcp;
};

struct ms_unreachable6 {
	struct ms_ipv6_header ip;
	struct ms_icmp_header icmp;
	__u8 quoted[40 + 8];
};

/* An answer of ours, seen by the program of the other direction. */
ms_inline int ms_is_own_answer(ms_frame *frame, const struct ms_packet *packet)
{
	if (!(packet->signal & MS_SIGNAL_ABORT) && packet->kind != MS_KIND_ERROR)
		return 0;
	return ms_frame_comes_back(frame);
}

/* The Internet checksum of a sum of 16-bit words (RFC 1071). */
ms_inline __be16 ms_fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* An endpoint of the key is a single host's address: not a group's, a network's or none at all. */
ms_inline int ms_is_one_host(const struct ms_packet *packet, __u32 second)
{
	const __u32 head = ms_address_head(packet, second);
	const struct ms_address6 *address = second ? &packet->key6.address[1] : &packet->key6.address[0];

	if (packet->family == 4)
		return head >> 24 != 0 && head >> 28 < 0xe;
	return head >> 24 != 0xff && (head || address->word[1] || address->word[2] || address->word[3]);
}

/* From one host to one host (RFC 1122 3.2.2, RFC 4443 2.4), and not about an answer. */
ms_inline int ms_is_answerable(ms_frame *frame, const struct ms_scratch *scratch)
{
	const struct ms_packet *packet = &scratch->packet;
	__u8 first;

	if (scratch->related || packet->kind != MS_KIND_FLOW || packet->fragmented)
		return 0;
	if (packet->signal & MS_SIGNAL_ABORT)
		return 0;
	if (ms_is_echo_reply(packet) || !ms_is_one_host(packet, 0) || !ms_is_one_host(packet, 1))
		return 0;
	if (scratch->direction == MS_DIRECTION_INGRESS && !ms_frame_is_for_us(frame))
		return 0;
	if (packet->network && (ms_frame_load(frame, 0, &first, 1) || first & 1)) /* a group's MAC address */
		return 0;
	return packet->protocol == IPPROTO_TCP || packet->payload >= 8;
}

/* Let the frame go back to whom it came from. */
ms_inline int ms_turn_link(ms_frame *frame)
{
	__u8 from[12], to[12];

	if (ms_frame_load(frame, 0, from, sizeof(from)))
		return 0;
	__builtin_memcpy(to, from + 6, 6);
	__builtin_memcpy(to + 6, from, 6);
	return ms_frame_store(frame, 0, to, sizeof(to)) == 0;
}

/* Put `length` bytes in place of the IP packet. Returns 1 when it worked. */
ms_inline int ms_replace(ms_frame *frame, const struct ms_packet *packet, const void *bytes, const __u32 length)
{
	const __u32 network = packet->network;

	if (ms_frame_resize(frame, network + length) || ms_frame_store(frame, network, bytes, length))
		return 0;
	return network ? ms_turn_link(frame) : 1;
}

/* A reset the receiver takes for one (RFC 9293 3.10.7.1); without its checksum. */
ms_inline int ms_make_reset(ms_frame *frame, const struct ms_packet *packet, struct ms_tcp_header *reset)
{
	struct ms_tcp_header to;
	__u32 length;

	if (ms_frame_load(frame, packet->transport, &to, sizeof(to)))
		return 0;
	reset->source = to.destination;
	reset->destination = to.source;
	reset->words = sizeof(*reset) / 4 << 4;
	reset->flags = MS_TCP_RST;
	if (to.flags & MS_TCP_ACK) {
		reset->sequence = to.acknowledgement;
		return 1;
	}
	length = packet->payload - (to.words >> 4) * 4 + !!(to.flags & MS_TCP_SYN) + !!(to.flags & MS_TCP_FIN);
	reset->flags |= MS_TCP_ACK;
	reset->acknowledgement = bpf_htonl(bpf_ntohl(to.sequence) + length);
	return 1;
}

ms_inline void ms_make_ipv4(struct iphdr *ip, const struct ms_packet *packet, __u8 protocol, __u8 tos, __u32 length)
{
	ip->version = 4;
	ip->ihl = sizeof(*ip) / 4;
	ip->tos = tos;
	ip->tot_len = bpf_htons(length);
	ip->frag_off = bpf_htons(MS_IPV4_DONT_FRAGMENT);
	ip->ttl = MS_HOP_LIMIT;
	ip->protocol = protocol;
	ip->saddr = packet->key4.address[packet->reversed ? 0 : 1];
	ip->daddr = packet->key4.address[packet->reversed ? 1 : 0];
	ip->check = ms_fold(bpf_csum_diff(0, 0, (__be32 *)ip, sizeof(*ip), 0));
}

ms_inline int ms_answer_reset4(ms_frame *frame, const struct ms_packet *packet)
{
	struct ms_reset4 answer = {};
	__be32 pseudo[3];
	__u32 sum;

	if (!ms_make_reset(frame, packet, &answer.tcp))
		return 0;
	ms_make_ipv4(&answer.ip, packet, IPPROTO_TCP, 0, sizeof(answer));
	pseudo[0] = answer.ip.saddr;
	pseudo[1] = answer.ip.daddr;
	pseudo[2] = bpf_htonl(IPPROTO_TCP << 16 | sizeof(answer.tcp));
	sum = bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), 0);
	answer.tcp.checksum = ms_fold(bpf_csum_diff(0, 0, (__be32 *)&answer.tcp, sizeof(answer.tcp), sum));
	return ms_replace(frame, packet, &answer, sizeof(answer));
}

/* Quotes the IP header and 8 bytes; not of a packet with IP options. */
ms_inline int ms_answer_unreachable4(ms_frame *frame, const struct ms_packet *packet)
{
	struct ms_unreachable4 answer = {};
	const __u32 quoting = sizeof(answer.icmp) + sizeof(answer.quoted);

	if (packet->transport != packet->network + 20 ||
	    ms_frame_load(frame, packet->network, answer.quoted, sizeof(answer.quoted)))
		return 0;
	answer.icmp.type = MS_UNREACHABLE4;
	answer.icmp.code = packet->protocol == IPPROTO_UDP ? MS_UNREACHABLE4_PORT : MS_UNREACHABLE4_PROHIBITED;
	answer.icmp.checksum = ms_fold(bpf_csum_diff(0, 0, (__be32 *)&answer.icmp, quoting, 0));
	ms_make_ipv4(&answer.ip, packet, IPPROTO_ICMP, MS_ICMP_TOS, sizeof(answer));
	return ms_replace(frame, packet, &answer, sizeof(answer));
}

/* Returns the sum over the pseudo header (RFC 8200 8.1). */
ms_inline __u32 ms_make_ipv6(struct ms_ipv6_header *ip, const struct ms_packet *packet, __u8 next, __u32 payload)
{
	__be32 pseudo[2] = {bpf_htonl(payload), bpf_htonl(next)};
	__u32 sum;

	ip->version = bpf_htonl(6 << 28);
	ip->payload = bpf_htons(payload);
	ip->next = next;
	ip->hop_limit = MS_HOP_LIMIT;
	ip->source = packet->reversed ? packet->key6.address[0] : packet->key6.address[1];
	ip->destination = packet->reversed ? packet->key6.address[1] : packet->key6.address[0];
	sum = bpf_csum_diff(0, 0, ip->source.word, 2 * sizeof(ip->source), 0);
	return bpf_csum_diff(0, 0, pseudo, sizeof(pseudo), sum);
}

ms_inline int ms_answer_reset6(ms_frame *frame, const struct ms_packet *packet)
{
	struct ms_reset6 answer = {};
	__u32 sum;

	if (!ms_make_reset(frame, packet, &answer.tcp))
		return 0;
	sum = ms_make_ipv6(&answer.ip, packet, IPPROTO_TCP, sizeof(answer.tcp));
	answer.tcp.checksum = ms_fold(bpf_csum_diff(0, 0, (__be32 *)&answer.tcp, sizeof(answer.tcp), sum));
	return ms_replace(frame, packet, &answer, sizeof(answer));
}

/* Quotes the IPv6 header and 8 bytes; not of a packet with extension headers. */
ms_inline int ms_answer_unreachable6(ms_frame *frame, const struct ms_packet *packet)
{
	struct ms_unreachable6 answer = {};
	const __u32 quoting = sizeof(answer.icmp) + sizeof(answer.quoted);
	__u32 sum;

	if (packet->transport != packet->network + 40 ||
	    ms_frame_load(frame, packet->network, answer.quoted, sizeof(answer.quoted)))
		return 0;
	answer.icmp.type = MS_UNREACHABLE6;
	answer.icmp.code = packet->protocol == IPPROTO_UDP ? MS_UNREACHABLE6_PORT : MS_UNREACHABLE6_PROHIBITED;
	sum = ms_make_ipv6(&answer.ip, packet, IPPROTO_ICMPV6, quoting);
	answer.icmp.checksum = ms_fold(bpf_csum_diff(0, 0, (__be32 *)&answer.icmp, quoting, sum));
	return ms_replace(frame, packet, &answer, sizeof(answer));
}

/* Rewrite the packet into its answer. Returns 1 when it worked; otherwise nothing but dropping it is left. */
ms_inline int ms_rewrite(ms_frame *frame, const struct ms_packet *packet)
{
	if (packet->family == 4)
		return packet->protocol == IPPROTO_TCP ? ms_answer_reset4(frame, packet)
						       : ms_answer_unreachable4(frame, packet);
	return packet->protocol == IPPROTO_TCP ? ms_answer_reset6(frame, packet)
					       : ms_answer_unreachable6(frame, packet);
}

/* Reached by tail call with a rejected packet, which is counted already. */
ms_inline int ms_rest_of_rejected(ms_frame *frame)
{
	int zero = 0, live = MS_SCRATCH_PACKET;
	struct ms_scratch *rest = scratch.lookup(&live);
	struct ms_stats *counts = stats.lookup(&zero);
	struct ms_settings *settings = config.lookup(&zero);

	if (!rest || !counts || !settings)
		return MS_RETURN_DROP;
	if (!ms_is_answerable(frame, rest)) {
		counts->answers_omitted++;
		return MS_RETURN_DROP;
	}
	if (!ms_spend(MS_BUDGET_ANSWERS, settings->answers_per_s, settings->hz, rest->now)) {
		counts->answers_limited++;
		return MS_RETURN_DROP;
	}
	if (!ms_rewrite(frame, &rest->packet)) {
		counts->answers_omitted++;
		return MS_RETURN_DROP;
	}
	counts->answers_sent++;
	return ms_frame_turn(frame, rest->direction);
}

#endif
