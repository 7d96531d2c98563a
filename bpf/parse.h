/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From a frame to the key of its session. What can't be parsed is dropped with a reason (I6). */
#ifndef MICROSEG_PARSE_H
#define MICROSEG_PARSE_H

#include "transport.h"

#define MS_MAX_EXTENSIONS 8
#define MS_IPV4_OFFSET 0x1fff /* of a fragment, in 8 bytes */
#define MS_IPV4_MORE 0x2000
#define MS_IPV6_OFFSET 0xfff8 /* in bytes */
#define MS_IPV6_MORE 0x0001

/* A walk along the headers of a packet. */
struct ms_cursor {
	__u32 offset; /* from the start of the frame */
	__u32 length; /* bytes from there to the end of the IP packet */
	__u8 next;    /* protocol of the header there */
};

/*
 * A fragment: `offset` bytes into the fragmentable part, of which it holds `bytes`. The first one is judged by its
 * transport header, a later one follows it (fragment.h). Lengths that no stack sends are dropped.
 */
ms_inline __u32 ms_parse_fragment(struct ms_packet *packet, __u32 offset, __u32 bytes, __u32 more)
{
	packet->fragment_offset = offset;
	packet->fragment_bytes = bytes;
	if (!bytes || (more && bytes & 7) || offset + bytes > 0xffff)
		return MS_DROP_FRAGMENT_BOUNDS;
	if (offset)
		packet->kind = MS_KIND_FRAGMENT;
	else
		packet->fragmented = 1;
	return 0;
}

ms_inline __u32 ms_parse_ipv4(ms_frame *frame, struct ms_packet *packet, __u32 offset)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	struct iphdr *ip = data + offset;
	__u32 header_bytes, total, available = ms_frame_length(frame) - offset, outcome;
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
	packet->network = offset;
	packet->transport = offset + header_bytes;
	packet->payload = total - header_bytes;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & (MS_IPV4_OFFSET | MS_IPV4_MORE)) {
		packet->fragment = ip->id;
		outcome = ms_parse_fragment(packet, (fragment & MS_IPV4_OFFSET) * 8, packet->payload,
					    fragment & MS_IPV4_MORE);
		if (outcome || packet->kind == MS_KIND_FRAGMENT)
			return outcome;
	}
	return ms_parse_transport(frame, packet);
}

ms_inline int ms_is_extension(__u8 protocol)
{
	return protocol == IPPROTO_HOPOPTS || protocol == IPPROTO_ROUTING || protocol == IPPROTO_FRAGMENT ||
	       protocol == IPPROTO_AH || protocol == IPPROTO_DSTOPTS;
}

/*
 * Walk the extension headers (RFC 8200 4.1) to the transport header, or to the end of the fragment header of a later
 * fragment, behind which is anything.
 */
ms_inline __u32 ms_skip_extensions(ms_frame *frame, struct ms_packet *packet, struct ms_cursor *at)
{
	__u32 bytes, outcome, seen = 0;
	__u8 header[8];

#pragma nounroll
	for (int i = 0; i <= MS_MAX_EXTENSIONS; i++) {
		__u8 extension = at->next;

		if (!ms_is_extension(extension))
			return 0;
		if (at->length < 8 || ms_frame_load(frame, at->offset, header, 8))
			return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_TRUNCATED;
		bytes = extension == IPPROTO_FRAGMENT ? 8
			: extension == IPPROTO_AH     ? (header[1] + 2) * 4
						      : (header[1] + 1) * 8;
		if (bytes > at->length)
			return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_IPV6_EXTENSIONS;
		at->next = header[0];
		at->offset += bytes;
		at->length -= bytes;
		if (extension == IPPROTO_FRAGMENT) {
			__u16 fragment = header[2] << 8 | header[3];

			if (seen++)
				return MS_DROP_IPV6_EXTENSIONS;
			if (!(fragment & (MS_IPV6_OFFSET | MS_IPV6_MORE))) /* "atomic": not a fragment (RFC 6946) */
				continue;
			__builtin_memcpy(&packet->fragment, header + 4, 4);
			outcome =
			    ms_parse_fragment(packet, fragment & MS_IPV6_OFFSET, at->length, fragment & MS_IPV6_MORE);
			if (outcome || packet->kind == MS_KIND_FRAGMENT)
				return outcome;
		}
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
	__u32 available = ms_frame_length(frame) - offset - 40, outcome;
	struct ms_cursor at;

	if ((void *)(ip + 10) > end)
		return MS_DROP_TRUNCATED;
	at.offset = offset + 40;
	at.length = bpf_ntohl(ip[1]) >> 16;
	at.next = bpf_ntohl(ip[1]) >> 8;
	if (at.length == 0 && ms_frame_is_large(frame)) /* as for IPv4 */
		at.length = available;
	if (bpf_ntohl(ip[0]) >> 28 != 6)
		return MS_DROP_IPV6_HEADER;
	if (at.length > available)
		return MS_DROP_TRUNCATED;

	packet->family = 6;
	packet->network = offset;
	packet->hop_limit = bpf_ntohl(ip[1]);
	ms_order6(packet, ip + 2, ip + 6);
	__builtin_memcpy(&packet->key6.address[0], packet->reversed ? ip + 6 : ip + 2, 16);
	__builtin_memcpy(&packet->key6.address[1], packet->reversed ? ip + 2 : ip + 6, 16);
	outcome = ms_skip_extensions(frame, packet, &at);
	packet->protocol = packet->key6.protocol = at.next;
	packet->transport = at.offset;
	packet->payload = at.length;
	if (outcome || packet->kind == MS_KIND_FRAGMENT)
		return outcome;
	return ms_parse_transport(frame, packet);
}

/* Parse a frame. Returns an outcome, or 0 when packet is filled in and to be judged. */
ms_inline __u32 ms_parse(ms_frame *frame, struct ms_packet *packet, const int link)
{
	__be16 ethertype = ms_frame_ethertype(frame);
	__u32 offset = 0, outcome;

	packet->length = ms_frame_length(frame);
	ms_frame_pull(frame, MS_LINEAR);
	if (link == MS_LINK_ETHERNET) {
		outcome = ms_parse_ethernet(frame, &ethertype, &offset);
		if (outcome)
			return outcome;
	}
	if (ethertype == bpf_htons(ETH_P_IP))
		return ms_parse_ipv4(frame, packet, offset);
	if (ethertype == bpf_htons(ETH_P_IPV6))
		return ms_parse_ipv6(frame, packet, offset);
	packet->ethertype = ethertype;
	return MS_DROP_ETHERTYPE;
}

#endif
