/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What passes without being judged: all of I6's exceptions that are about packets. User space chooses among them. */
#ifndef MICROSEG_UNASKED_H
#define MICROSEG_UNASKED_H

#include "scratch.h"

#define MS_DHCP_SERVER 67
#define MS_DHCP_CLIENT 68
#define MS_DHCP6_CLIENT 546
#define MS_DHCP6_SERVER 547
#define MS_IGMP 2

/* Neighbour discovery from this link (RFC 4861 7.1: hop limit 255) and multicast listener discovery (RFC 2710 3,
 * RFC 3810 5: hop limit 1, source link-local or unspecified); neither is ever fragmented (RFC 6980). */
ms_inline __u32 ms_unasked_icmp6(const struct ms_settings *settings, const struct ms_packet *packet)
{
	const __be32 *source = packet->reversed ? packet->key6.address[1].word : packet->key6.address[0].word;
	const int unspecified = !(source[0] | source[1] | source[2] | source[3]);
	__u8 type = packet->icmp >> 8;

	if (packet->kind != MS_KIND_MESSAGE || (packet->icmp & 0xff) != 0 || packet->fragmented)
		return 0;
	if (type >= 133 && type <= 137 && packet->hop_limit == 255)
		return settings->unasked & MS_UNASKED_NEIGHBOUR ? MS_PASS_NEIGHBOUR : 0;
	if (packet->hop_limit != 1 || (!unspecified && bpf_ntohl(source[0]) >> 22 != 0xfe80 >> 6))
		return 0;
	if (type != 143 && (type < 130 || type > 132))
		return 0;
	return settings->unasked & MS_UNASKED_MULTICAST_LISTENER ? MS_PASS_MULTICAST_LISTENER : 0;
}

/* This host as a client of DHCP: what it asks goes out, what it is told comes in. */
ms_inline int ms_is_dhcp_client(const struct ms_packet *packet, __u32 direction)
{
	const int four = packet->family == 4, out = direction == MS_DIRECTION_EGRESS;
	const __u16 client = four ? MS_DHCP_CLIENT : MS_DHCP6_CLIENT, server = four ? MS_DHCP_SERVER : MS_DHCP6_SERVER;
	const __u32 source = packet->reversed;

	if (packet->kind != MS_KIND_FLOW || packet->protocol != IPPROTO_UDP || packet->fragmented)
		return 0;
	return ms_port(packet, source) == (out ? client : server) &&
	       ms_port(packet, !source) == (out ? server : client);
}

ms_inline __u32 ms_unasked_group(const struct ms_settings *settings, const struct ms_packet *packet)
{
	__u32 destination = ms_address_head(packet, !packet->reversed);

	if (packet->family == 6) {
		if (settings->unasked & MS_UNASKED_MULTICAST && destination >> 24 == 0xff)
			return MS_PASS_MULTICAST;
		return 0;
	}
	if (settings->unasked & MS_UNASKED_BROADCAST && destination == 0xffffffff)
		return MS_PASS_BROADCAST;
	if (destination >> 28 != 0xe)
		return 0;
	if (settings->unasked & MS_UNASKED_IGMP && packet->protocol == MS_IGMP)
		return MS_PASS_IGMP;
	return settings->unasked & MS_UNASKED_MULTICAST ? MS_PASS_MULTICAST : 0;
}

ms_inline __u32 ms_unasked_ethertype(const struct ms_settings *settings, __be16 ethertype)
{
	if (ethertype == bpf_htons(ETH_P_ARP) && settings->unasked & MS_UNASKED_ARP)
		return MS_PASS_ARP;
	if (bpf_ntohs(ethertype) < ETH_P_802_3_MIN) /* a length: an 802.3 frame, which Linux calls ETH_P_802_2 */
		ethertype = bpf_htons(ETH_P_802_2);
#pragma unroll
	for (int i = 0; i < MS_ETHERTYPE_SLOTS; i++) {
		if (settings->ethertype[i] && settings->ethertype[i] == ethertype)
			return MS_PASS_ETHERTYPE;
	}
	return MS_DROP_ETHERTYPE;
}

/* Nobody has such an address; and a session with a group would take its own source for the server. */
ms_inline int ms_is_impossible_source(const struct ms_packet *packet)
{
	__u32 source = ms_address_head(packet, packet->reversed);

	if (packet->family == 6)
		return source >> 24 == 0xff;
	return source >> 28 == 0xe || source == 0xffffffff;
}

/* The outcome of a packet that needs no judgement, one that parsing refused included; 0: it has to be judged. */
ms_inline __u32 ms_unasked(const struct ms_scratch *scratch)
{
	const struct ms_packet *packet = &scratch->packet;
	int zero = 0;
	struct ms_settings *settings = config.lookup(&zero);
	__u32 outcome = scratch->outcome;

	if (!settings)
		return MS_DROP_INTERNAL;
	if (outcome == MS_DROP_ETHERTYPE)
		return ms_unasked_ethertype(settings, packet->ethertype);
	if (outcome)
		return outcome;
	if (packet->family == 6 && packet->protocol == IPPROTO_ICMPV6)
		outcome = ms_unasked_icmp6(settings, packet);
	else if (settings->unasked & MS_UNASKED_DHCP_CLIENT && ms_is_dhcp_client(packet, scratch->direction))
		outcome = MS_PASS_DHCP_CLIENT;
	return outcome ? outcome : ms_unasked_group(settings, packet);
}

#endif
