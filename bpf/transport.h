/* SPDX-License-Identifier: GPL-2.0-or-later */
/* From the transport header to ports, identifiers and signals. */
#ifndef MICROSEG_TRANSPORT_H
#define MICROSEG_TRANSPORT_H

#include "link.h"
#include "packet.h"

#define MS_TCP_FIN 0x01
#define MS_TCP_SYN 0x02
#define MS_TCP_RST 0x04
#define MS_TCP_ACK 0x10
#define MS_TCP_STATEFUL (MS_TCP_FIN | MS_TCP_SYN | MS_TCP_RST | MS_TCP_ACK)

/* Types of the first chunk (RFC 9260 3.2); chunks that control an association come first or alone. */
#define MS_SCTP_INIT 1
#define MS_SCTP_INIT_ACK 2
#define MS_SCTP_HEARTBEAT 4
#define MS_SCTP_HEARTBEAT_ACK 5
#define MS_SCTP_ABORT 6
#define MS_SCTP_SHUTDOWN 7
#define MS_SCTP_SHUTDOWN_ACK 8
#define MS_SCTP_SHUTDOWN_COMPLETE 14

/* Bytes of a transport header that are read at most. */
#define MS_TRANSPORT_BYTES 20

/* Put both endpoints into the key in ascending order. */
ms_inline void ms_set_ports(struct ms_packet *packet, __be16 source, __be16 destination)
{
	__be16 *port = packet->family == 4 ? packet->key4.port : packet->key6.port;

	if (packet->same)
		packet->reversed = source > destination;
	port[0] = packet->reversed ? destination : source;
	port[1] = packet->reversed ? source : destination;
}

/* Six combinations of the flags that matter make sense; all others are dropped. */
ms_inline __u32 ms_parse_tcp(struct ms_packet *packet, const __u8 *header, __u32 length)
{
	__u32 header_bytes = (header[12] >> 4) * 4;
	__u8 flags = header[13] & MS_TCP_STATEFUL;

	if (header_bytes < 20 || header_bytes > length)
		return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_TCP_HEADER;
	if (flags == MS_TCP_ACK) /* nearly every packet */
		return 0;
	switch (flags) {
	case MS_TCP_SYN:
		packet->signal = MS_SIGNAL_OPEN;
		return 0;
	case MS_TCP_SYN | MS_TCP_ACK:
		packet->signal = MS_SIGNAL_ANSWER;
		return 0;
	case MS_TCP_FIN | MS_TCP_ACK:
		packet->signal = MS_SIGNAL_CLOSE;
		return 0;
	case MS_TCP_RST:
		packet->signal = MS_SIGNAL_ABORT;
		return 0;
	case MS_TCP_RST | MS_TCP_ACK:
		packet->signal = MS_SIGNAL_ABORT | MS_SIGNAL_ACK;
		return 0;
	default:
		return MS_DROP_TCP_FLAGS;
	}
}

/* SCTP checks ABORT by its verification tag, so one always acknowledges. */
ms_inline __u8 ms_sctp_signal(__u8 chunk)
{
	switch (chunk) {
	case MS_SCTP_INIT:
		return MS_SIGNAL_OPEN;
	case MS_SCTP_HEARTBEAT:
		return MS_SIGNAL_PROBE;
	case MS_SCTP_INIT_ACK:
		return MS_SIGNAL_ANSWER;
	case MS_SCTP_HEARTBEAT_ACK:
		return MS_SIGNAL_ANSWER | MS_SIGNAL_ACK;
	case MS_SCTP_ABORT:
		return MS_SIGNAL_ABORT | MS_SIGNAL_ACK;
	case MS_SCTP_SHUTDOWN:
	case MS_SCTP_SHUTDOWN_ACK:
	case MS_SCTP_SHUTDOWN_COMPLETE:
		return MS_SIGNAL_CLOSE;
	default:
		return 0;
	}
}

ms_inline __u32 ms_parse_udp(const struct ms_packet *packet, const __be16 *words, __u32 length)
{
	__u32 claimed = bpf_ntohs(words[2]);

	if (packet->fragmented) /* it counts what is in the later fragments too */
		return claimed < 8 || claimed <= length ? MS_DROP_UDP_LENGTH : 0;
	if (length > 0xffff) /* on its way through this host ("BIG TCP"): the field is too small */
		return 0;
	return claimed < 8 || claimed > length ? MS_DROP_UDP_LENGTH : 0;
}

/* An echo has a session by its identifier; an error quotes a packet; everything else stands alone. */
ms_inline __u32 ms_parse_icmp(struct ms_packet *packet, const __u8 *header)
{
	const int four = packet->family == 4;
	__u8 type = header[0], own = four ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	__u8 request = four ? MS_ECHO_REQUEST4 : MS_ECHO_REQUEST6, reply = four ? MS_ECHO_REPLY4 : MS_ECHO_REPLY6;
	__be16 identifier = *(const __be16 *)(header + 4);
	__u8 role;

	packet->icmp = type << 8 | header[1];
	packet->kind = MS_KIND_MESSAGE;
	if (packet->protocol != own)
		return 0;
	/* Unreachable, (too big,) time exceeded, parameter problem. A redirect is advice, no error. */
	if (four ? type == 3 || type == 11 || type == 12 : type >= 1 && type <= 4) {
		packet->kind = MS_KIND_ERROR;
		return 0;
	}
	if (header[1] != 0 || (type != request && type != reply))
		return 0;
	packet->kind = MS_KIND_FLOW;
	ms_set_ports(packet, identifier, identifier);
	role = 1 + (packet->same ? 0 : packet->reversed ^ (type == reply));
	if (four)
		packet->key4.role = role;
	else
		packet->key6.role = role;
	return 0;
}

/* Bytes of the transport header that are needed: SCTP's with the head of the first chunk. */
ms_inline __u32 ms_transport_bytes(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_SCTP:
		return 16;
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

	if (ms_is_icmp(packet))
		return ms_parse_icmp(packet, header);
	ms_set_ports(packet, words[0], words[1]);
	if (packet->protocol == IPPROTO_TCP)
		return ms_parse_tcp(packet, header, length);
	if (packet->protocol == IPPROTO_UDP)
		return ms_parse_udp(packet, words, length);
	packet->signal = ms_sctp_signal(header[12]);
	return 0;
}

ms_inline __u32 ms_parse_transport(ms_frame *frame, struct ms_packet *packet)
{
	void *data = ms_frame_start(frame), *end = ms_frame_end(frame);
	__u32 need = ms_transport_bytes(packet->protocol);
	__u8 copy[MS_TRANSPORT_BYTES];
	__u8 *header = data + packet->transport;

	if (!need)
		return 0;
	if (packet->payload < need)
		return packet->fragmented ? MS_DROP_FIRST_FRAGMENT : MS_DROP_TRUNCATED;
	if (packet->transport <= MS_LINEAR && (void *)(header + MS_TRANSPORT_BYTES) <= end)
		return ms_read_transport(packet, header, packet->payload);
	/* The last bytes of the packet, or behind a long chain of extension headers. */
	__builtin_memset(copy, 0, sizeof(copy));
	if (need == 20	 ? ms_frame_load(frame, packet->transport, copy, 20)
	    : need == 16 ? ms_frame_load(frame, packet->transport, copy, 16)
			 : ms_frame_load(frame, packet->transport, copy, 8))
		return MS_DROP_TRUNCATED;
	return ms_read_transport(packet, copy, packet->payload);
}

#endif
