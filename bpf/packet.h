/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What is known of a packet once it is parsed. */
#ifndef MICROSEG_PACKET_H
#define MICROSEG_PACKET_H

#include "abi.h"

#define MS_ECHO_REQUEST4 8
#define MS_ECHO_REPLY4 0
#define MS_ECHO_REQUEST6 128
#define MS_ECHO_REPLY6 129

enum ms_kind {
	MS_KIND_FLOW,	  /* has a session or may open one */
	MS_KIND_MESSAGE,  /* an ICMP message that stands alone */
	MS_KIND_ERROR,	  /* an ICMP error, which quotes the packet it is about */
	MS_KIND_FRAGMENT, /* a later fragment, without a transport header */
};

/* What a packet says about its connection: TCP's flags and SCTP's chunks become the same words. */
#define MS_SIGNAL_OPEN 0x01   /* SYN; INIT */
#define MS_SIGNAL_ANSWER 0x02 /* SYN-ACK; INIT ACK, HEARTBEAT ACK */
#define MS_SIGNAL_CLOSE 0x04  /* FIN; SHUTDOWN, SHUTDOWN ACK, SHUTDOWN COMPLETE */
#define MS_SIGNAL_ABORT 0x08  /* RST; ABORT */
#define MS_SIGNAL_ACK 0x10    /* beside ABORT: it acknowledges what the other side sent; beside ANSWER: HEARTBEAT ACK */
#define MS_SIGNAL_PROBE 0x20  /* HEARTBEAT: may be the first packet of another path of an association */

struct ms_packet {
	union {
		struct ms_key4 key4;
		struct ms_key6 key6;
		__u64 word[5]; /* either key, by words */
	};
	union {
		struct {
			__u8 kind;	 /* enum ms_kind */
			__u8 signal;	 /* MS_SIGNAL_...; 0: goes on, or a protocol without any */
			__u8 fragmented; /* 1: a first fragment */
			__u8 zero;
		};
		__u32 unusual; /* 0: a packet of a flow that goes on */
	};
	__u8 family;   /* 4 or 6; 0: not IP */
	__u8 protocol; /* after IPv6 extension headers */
	__u8 reversed; /* 1: the source is the key's second endpoint */
	__u8 same;     /* 1: both addresses are equal, the ports decide the order */
	__u32 length;  /* with the link header */
	__u32 payload; /* bytes from the transport header to the end of the IP packet */
	__u16 network; /* where the IP header is, from the start of the frame */
	__u16 transport;
	__u16 icmp;	       /* type << 8 | code, host order; 0 for other protocols */
	__be16 ethertype;      /* when it isn't IP */
	__be32 fragment;       /* identification, of fragments only; 16 bits for IPv4 */
	__u32 fragment_offset; /* bytes */
	__u32 fragment_bytes;  /* of the fragmentable part, in this fragment */
	__u8 hop_limit;	       /* IPv6 only */
	__u8 absent;	       /* 1: there was no established session when it came */
	__u8 padding[2];
};

ms_inline int ms_is_icmp(const struct ms_packet *packet)
{
	return packet->protocol == IPPROTO_ICMP || packet->protocol == IPPROTO_ICMPV6;
}

/* A protocol whose connections begin and end by a handshake. */
ms_inline int ms_has_handshake(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_SCTP;
}

ms_inline int ms_is_echo_reply(const struct ms_packet *packet)
{
	__u8 reply = packet->family == 4 ? MS_ECHO_REPLY4 : MS_ECHO_REPLY6;

	return packet->kind == MS_KIND_FLOW && ms_is_icmp(packet) && packet->icmp >> 8 == reply;
}

/* The first 32 bits of an address, as a number that prefixes can be compared with. */
ms_inline __u32 ms_address_head(const struct ms_packet *packet, __u32 second)
{
	if (packet->family == 4)
		return bpf_ntohl(second ? packet->key4.address[1] : packet->key4.address[0]);
	return bpf_ntohl(second ? packet->key6.address[1].word[0] : packet->key6.address[0].word[0]);
}

/* A port of the key, host order. */
ms_inline __u16 ms_port(const struct ms_packet *packet, __u32 second)
{
	if (packet->family == 4)
		return bpf_ntohs(second ? packet->key4.port[1] : packet->key4.port[0]);
	return bpf_ntohs(second ? packet->key6.port[1] : packet->key6.port[0]);
}

/* 2^64 divided by the golden ratio, odd. */
#define MS_HASH_FACTOR 0x9e3779b97f4a7c15ULL

/* A hash of the key; its high bits hang on all of it. */
ms_inline __u64 ms_key_hash(const struct ms_packet *packet)
{
	const __u64 factor = MS_HASH_FACTOR, *word = packet->word;
	__u64 hash = word[0] * factor ^ word[1];

	if (packet->family != 4)
		hash = ((hash * factor ^ word[2]) * factor ^ word[3]) * factor ^ word[4];
	hash ^= hash >> 32;
	return hash * factor;
}

#endif
