/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a frame (frame_tc.h, frame_xdp.h) to the key of its session. What can't be parsed is dropped with a reason
 * (I6). */
#ifndef MICROSEG_PARSE_H
#define MICROSEG_PARSE_H

#include "abi.h"

/* Linear bytes asked for before parsing: two tags, the longest IPv4 header and TCP's fixed part. */
#define MS_LINEAR 128
#define MS_MAX_VLAN_TAGS 2
#define MS_MAX_EXTENSIONS 8
#define MS_ECHO_REQUEST4 8
#define MS_ECHO_REPLY4 0
#define MS_ECHO_REQUEST6 128
#define MS_ECHO_REPLY6 129
#define MS_TCP_FIN 0x01
#define MS_TCP_SYN 0x02
#define MS_TCP_RST 0x04
#define MS_TCP_ACK 0x10
#define MS_TCP_STATEFUL (MS_TCP_FIN | MS_TCP_SYN | MS_TCP_RST | MS_TCP_ACK)

enum ms_kind {
	MS_KIND_FLOW,	    /* has a session or may open one */
	MS_KIND_ECHO_REPLY, /* belongs to a session, else is judged by itself */
	MS_KIND_MESSAGE,    /* an ICMP message judged by itself */
};

struct ms_packet {
	union {
		struct ms_key4 key4;
		struct ms_key6 key6;
	};
	__u32 length;	 /* with the link header */
	__u16 icmp;	 /* type << 8 | code, host order; 0 for other protocols */
	__u8 family;	 /* 4 or 6; 0: not IP */
	__u8 protocol;	 /* after IPv6 extension headers */
	__u8 reversed;	 /* 1: the source is the key's second endpoint */
	__u8 tcp_flags;	 /* 0 for other protocols */
	__u8 same;	 /* 1: both addresses are equal, the ports decide the order */
	__u8 kind;	 /* enum ms_kind */
	__u8 hop_limit;	 /* IPv6 only */
	__u8 fragmented; /* a first fragment: lengths of the transport header say more than is here */
};

/* Where the transport header is. */
struct ms_cursor {
	__u32 offset; /* from the start of the frame */
	__u32 length; /* bytes from there to the end of the IP packet */
};

ms_inline int ms_is_vlan(__be16 ethertype)
{
	return ethertype == bpf_htons(ETH_P_8021Q) || ethertype == bpf_htons(ETH_P_8021AD);
}

/* Find the network header: sets *ethertype (network order) and *offset. Returns an outcome, 0 to go on. */
ms_inline __u32 ms_parse_ethernet(ms_frame *frame, __be16 *ethertype, __u32 *offset)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	struct ethhdr *ethernet = data;
	__u32 at = sizeof(*ethernet);
	__be16 type;

	if ((void *)(ethernet + 1) > end)
		return MS_DROP_TRUNCATED;
	type = ethernet->h_proto;
#pragma unroll
	for (int tags = 0; tags < MS_MAX_VLAN_TAGS; tags++) {
		__be16 *tag = data + at; /* TCI, then the next ethertype */

		if (!ms_is_vlan(type))
			break;
		if ((void *)(tag + 2) > end)
			return MS_DROP_TRUNCATED;
		type = tag[1];
		at += 2 * sizeof(*tag);
	}
	if (ms_is_vlan(type))
		return MS_DROP_VLAN_DEPTH;
	*ethertype = type;
	*offset = at;
	return 0;
}

/* Put both endpoints into the key in ascending order. ports is source, destination. */
ms_inline void ms_set_ports(struct ms_packet *packet, __be16 source, __be16 destination)
{
	__be16 *port = packet->family == 4 ? packet->key4.port : packet->key6.port;

	if (packet->same)
		packet->reversed = source > destination;
	port[0] = packet->reversed ? destination : source;
	port[1] = packet->reversed ? source : destination;
}

ms_inline __u32 ms_parse_tcp(struct ms_packet *packet, const __u8 *header, __u32 length)
{
	__u32 header_bytes = (header[12] >> 4) * 4;
	__u8 flags = header[13];
	__u8 stateful = flags & MS_TCP_STATEFUL;

	if (header_bytes < 20 || header_bytes > length)
		return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_TCP_HEADER;
	packet->tcp_flags = flags;
	if (stateful == MS_TCP_ACK) /* nearly every packet */
		return 0;
	if (!(stateful & (MS_TCP_SYN | MS_TCP_RST | MS_TCP_ACK)))
		return MS_DROP_TCP_FLAGS;
	if ((stateful & MS_TCP_SYN) && (stateful & (MS_TCP_FIN | MS_TCP_RST)))
		return MS_DROP_TCP_FLAGS;
	if ((stateful & MS_TCP_RST) && (stateful & MS_TCP_FIN))
		return MS_DROP_TCP_FLAGS;
	return 0;
}

ms_inline __u32 ms_parse_icmp(struct ms_packet *packet, const __u8 *header)
{
	__u8 request = packet->family == 4 ? MS_ECHO_REQUEST4 : MS_ECHO_REQUEST6;
	__u8 reply = packet->family == 4 ? MS_ECHO_REPLY4 : MS_ECHO_REPLY6;
	__u8 own = packet->family == 4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	__be16 identifier = *(const __be16 *)(header + 4);
	__u8 role;

	packet->icmp = header[0] << 8 | header[1];
	packet->kind = MS_KIND_MESSAGE;
	if (packet->protocol != own || header[1] != 0)
		return 0;
	if (header[0] == request)
		packet->kind = MS_KIND_FLOW;
	else if (header[0] == reply)
		packet->kind = MS_KIND_ECHO_REPLY;
	else
		return 0;
	ms_set_ports(packet, identifier, identifier);
	role = 1 + (packet->same ? 0 : packet->reversed ^ (packet->kind == MS_KIND_ECHO_REPLY));
	if (packet->family == 4)
		packet->key4.role = role;
	else
		packet->key6.role = role;
	return 0;
}

/* Neighbour discovery from this link (RFC 4861 7.1: hop limit 255) and multicast listener discovery (RFC 2710 3,
 * RFC 3810 5: hop limit 1, source link-local or unspecified) always pass (I6 lists them). */
ms_inline __u32 ms_icmp6_exception(const struct ms_packet *packet)
{
	const __be32 *source = packet->reversed ? packet->key6.address[1].word : packet->key6.address[0].word;
	__u32 unspecified = !(source[0] | source[1] | source[2] | source[3]);
	__u8 type = packet->icmp >> 8;

	if (packet->family != 6 || packet->protocol != IPPROTO_ICMPV6 || (packet->icmp & 0xff) != 0)
		return 0;
	if (type >= 133 && type <= 137 && packet->hop_limit == 255)
		return MS_PASS_NEIGHBOUR;
	if (packet->hop_limit != 1 || (!unspecified && (bpf_ntohl(source[0]) >> 22) != 0xfe80 >> 6))
		return 0;
	return type == 143 || (type >= 130 && type <= 132) ? MS_PASS_MULTICAST_LISTENER : 0;
}

/* Bytes of the transport header that are needed. */
ms_inline __u32 ms_transport_bytes(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_UDP:
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return 8;
	default:
		return 0;
	}
}

/* Read the transport header, of which ms_transport_bytes() are at `header`. */
ms_inline __u32 ms_read_transport(struct ms_packet *packet, const __u8 *header, __u32 length)
{
	const __be16 *words = (const __be16 *)header;

	if (packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6)
		return ms_parse_icmp(packet, header);
	ms_set_ports(packet, words[0], words[1]);
	if (packet->protocol == IPPROTO_TCP)
		return ms_parse_tcp(packet, header, length);
	if (packet->protocol == IPPROTO_UDP && !packet->fragmented) {
		__u32 claimed = bpf_ntohs(words[2]);

		if (claimed < 8 || claimed > length)
			return MS_DROP_UDP_LENGTH;
	}
	return 0;
}

ms_inline __u32 ms_parse_transport(ms_frame *frame, struct ms_packet *packet, const struct ms_cursor *at)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	__u32 need = ms_transport_bytes(packet->protocol);
	__u8 copy[20];
	__u8 *header = data + at->offset;

	if (!need)
		return 0;
	if (at->length < need)
		return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_TRUNCATED;
	if (at->offset <= MS_LINEAR && (void *)(header + 20) <= end)
		return ms_read_transport(packet, header, at->length);
	/* The last bytes of the packet, or behind a long chain of extension headers. */
	__builtin_memset(copy, 0, sizeof(copy));
	if (need == 20	 ? ms_frame_load(frame, at->offset, copy, 20)
	    : need == 12 ? ms_frame_load(frame, at->offset, copy, 12)
			 : ms_frame_load(frame, at->offset, copy, 8))
		return MS_DROP_TRUNCATED;
	return ms_read_transport(packet, copy, at->length);
}

ms_inline __u32 ms_parse_ipv4(ms_frame *frame, struct ms_packet *packet, __u32 offset)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	struct iphdr *ip = data + offset;
	__u32 header_bytes, total, available = ms_frame_length(frame) - offset;
	struct ms_cursor at;
	__u32 source, destination;
	__u16 fragment;

	if ((void *)(ip + 1) > end)
		return MS_DROP_TRUNCATED;
	header_bytes = ip->ihl * 4;
	total = bpf_ntohs(ip->tot_len);
	if (total == 0 && ms_frame_is_large(frame)) /* larger than 64 KiB on its way through this host ("BIG TCP") */
		total = available;
	if (ip->version != 4 || header_bytes < sizeof(*ip) || total < header_bytes)
		return MS_DROP_IPV4_HEADER;
	if (total > available)
		return MS_DROP_TRUNCATED;

	source = ip->saddr;
	destination = ip->daddr;
	packet->family = 4;
	packet->protocol = ip->protocol;
	packet->reversed = source > destination;
	packet->same = source == destination;
	packet->key4.address[0] = packet->reversed ? destination : source;
	packet->key4.address[1] = packet->reversed ? source : destination;
	packet->key4.protocol = ip->protocol;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & 0x1fff)
		return MS_DROP_FRAGMENT;
	packet->fragmented = (fragment & 0x2000) != 0;
	at.offset = offset + header_bytes;
	at.length = total - header_bytes;
	return ms_parse_transport(frame, packet, &at);
}

/* Walk the extension headers (RFC 8200 4.1); at->offset and packet->protocol move along. */
ms_inline __u32 ms_skip_extensions(ms_frame *frame, struct ms_packet *packet, struct ms_cursor *at)
{
	__u8 header[4];
	__u32 bytes;

#pragma nounroll
	for (int i = 0; i <= MS_MAX_EXTENSIONS; i++) {
		__u8 next = packet->protocol;

		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_FRAGMENT &&
		    next != IPPROTO_AH && next != IPPROTO_DSTOPTS)
			return 0;
		if (at->length < 8 || ms_frame_load(frame, at->offset, header, 4))
			return MS_DROP_TRUNCATED;
		bytes = next == IPPROTO_AH ? (header[1] + 2) * 4 : (header[1] + 1) * 8;
		if (next == IPPROTO_FRAGMENT) {
			__u16 fragment = header[2] << 8 | header[3];

			bytes = 8;
			if (fragment & 0xfff8)
				return MS_DROP_FRAGMENT;
			packet->fragmented = fragment & 1;
		}
		if (bytes > at->length)
			return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_IPV6_EXTENSIONS;
		packet->protocol = header[0];
		at->offset += bytes;
		at->length -= bytes;
	}
	return MS_DROP_IPV6_EXTENSIONS;
}

/* Compare two IPv6 addresses as raw numbers: which is the greater, or are they the same. */
ms_inline void ms_order6(struct ms_packet *packet, const __be32 *source, const __be32 *destination)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		if (source[i] != destination[i]) {
			packet->reversed = source[i] > destination[i];
			return;
		}
	}
	packet->same = 1;
}

ms_inline __u32 ms_parse_ipv6(ms_frame *frame, struct ms_packet *packet, __u32 offset)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	__be32 *ip = data + offset; /* 10 words: version.., length.., source[4], destination[4] */
	__u32 available = ms_frame_length(frame) - offset - 40, outcome, payload;
	struct ms_cursor at;

	if ((void *)(ip + 10) > end)
		return MS_DROP_TRUNCATED;
	payload = bpf_ntohl(ip[1]) >> 16;
	if (payload == 0 && ms_frame_is_large(frame)) /* as for IPv4 */
		payload = available;
	if (bpf_ntohl(ip[0]) >> 28 != 6)
		return MS_DROP_IPV6_HEADER;
	if (payload > available)
		return MS_DROP_TRUNCATED;

	packet->family = 6;
	packet->protocol = bpf_ntohl(ip[1]) >> 8;
	packet->hop_limit = bpf_ntohl(ip[1]);
	ms_order6(packet, ip + 2, ip + 6);
	__builtin_memcpy(&packet->key6.address[0], packet->reversed ? ip + 6 : ip + 2, 16);
	__builtin_memcpy(&packet->key6.address[1], packet->reversed ? ip + 2 : ip + 6, 16);
	at.offset = offset + 40;
	at.length = payload;
	outcome = ms_skip_extensions(frame, packet, &at);
	packet->key6.protocol = packet->protocol;
	if (!outcome)
		outcome = ms_parse_transport(frame, packet, &at);
	return outcome ? outcome : ms_icmp6_exception(packet);
}

/* Parse a frame. Returns an outcome, or 0 when packet is filled in and to be judged. */
ms_inline __u32 ms_parse(ms_frame *frame, struct ms_packet *packet, const int link)
{
	__be16 ethertype;
	__u32 offset = 0, outcome;

	packet->length = ms_frame_length(frame);
	ms_frame_pull(frame, MS_LINEAR);
	if (link == MS_LINK_ETHERNET) {
		outcome = ms_parse_ethernet(frame, &ethertype, &offset);
		if (outcome)
			return outcome;
	} else {
		ethertype = ms_frame_ethertype(frame);
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return ms_parse_ipv4(frame, packet, offset);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return ms_parse_ipv6(frame, packet, offset);
	return ethertype == bpf_htons(ETH_P_ARP) ? MS_PASS_ARP : MS_DROP_ETHERTYPE;
}

#endif
