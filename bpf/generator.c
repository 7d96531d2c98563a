/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes packets for measurements: run over frames that the kernel hands out (BPF_PROG_TEST_RUN with live frames),
 * it gives each one the source of its flow, and sends it out of an interface as a driver would. Never attached.
 */
#include <uapi/linux/bpf.h>
#include <uapi/linux/if_ether.h>
#include <uapi/linux/ip.h>
#include <uapi/linux/ipv6.h>

#define MG_inline static inline __attribute__((always_inline))
#define MG_UDP 17
#define MG_HOPS 64

/*
 * What to make. Flow n has source address first_address + n % hosts, and source port first_port + n / hosts. Sums are
 * one's complement sums (RFC 1071) of 16-bit words as they lie in memory, without what differs between flows.
 */
struct mg_order {
	__u32 ifindex; /* 0: comes in, through the interface of the frame's context */
	__u32 flows;   /* in turn; 0: each packet is of another flow than the one before */
	__u32 stride;  /* from one packet's flow to the next one's */
	__u32 hosts;
	__u32 first_address; /* host order; of IPv6 the last 32 bits */
	__u32 first_port;
	__u32 network_sum;
	__u32 transport_sum;
	__u32 turn; /* the flow of the last packet */
	__u32 sent;
	__u32 replies;	   /* the flow's address and port are those of the destination */
	__u8 ethernet[12]; /* both addresses: a frame that comes back may have been forwarded */
};
_Static_assert(sizeof(struct mg_order) == MG_SIZEOF_ORDER, "as Python has it");

BPF_TABLE_PINNED("array", int, struct mg_order, order, 1, MS_PIN_DIR "/order", 0);

MG_inline __u16 mg_checksum(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

MG_inline __u32 mg_words(__be32 value)
{
	return (value & 0xffff) + (value >> 16);
}

/* Return the flow of this packet. */
MG_inline __u32 mg_next(struct mg_order *order)
{
	__u32 turn = order->turn + order->stride;

	if (order->flows && turn >= order->flows)
		turn -= order->flows;
	order->turn = turn;
	order->sent++;
	return turn;
}

/* Write the flow's port and the checksum of UDP or TCP. */
MG_inline int mg_transport(void *transport, void *end, __u8 protocol, __be16 port, __u32 sum, __u32 replies)
{
	__u16 checksum = mg_checksum(sum);
	__u8 *at = transport;
	int place = protocol == MG_UDP ? 6 : 16;

	if (at + 18 > (__u8 *)end)
		return XDP_ABORTED;
	*(__be16 *)(replies ? at + 2 : at) = port;
	*(__u16 *)(at + place) = protocol == MG_UDP && !checksum ? 0xffff : checksum;
	return XDP_PASS;
}

int microseg_generate(struct xdp_md *xdp)
{
	void *data = (void *)(long)xdp->data, *end = (void *)(long)xdp->data_end;
	struct ethhdr *ethernet = data;
	struct mg_order *now;
	__u32 flow, sum;
	__be32 address;
	__be16 port;
	int zero = 0, made;

	now = order.lookup(&zero);
	if (!now || !now->hosts || (void *)(ethernet + 1) > end)
		return XDP_ABORTED;
	flow = mg_next(now);
	address = __builtin_bswap32(now->first_address + flow % now->hosts);
	port = __builtin_bswap16(now->first_port + flow / now->hosts);
	__builtin_memcpy(ethernet, now->ethernet, sizeof(now->ethernet));
	sum = now->transport_sum + mg_words(address) + port;
	if (ethernet->h_proto == __builtin_bswap16(ETH_P_IP)) {
		struct iphdr *ip = (void *)(ethernet + 1);

		if ((void *)(ip + 1) > end)
			return XDP_ABORTED;
		if (now->replies)
			ip->daddr = address;
		else
			ip->saddr = address;
		ip->ttl = MG_HOPS;
		ip->check = mg_checksum(now->network_sum + mg_words(address));
		made = mg_transport(ip + 1, end, ip->protocol, port, sum, now->replies);
	} else {
		struct ipv6hdr *ip = (void *)(ethernet + 1);

		if ((void *)(ip + 1) > end)
			return XDP_ABORTED;
		if (now->replies)
			ip->daddr.s6_addr32[3] = address;
		else
			ip->saddr.s6_addr32[3] = address;
		ip->hop_limit = MG_HOPS;
		made = mg_transport(ip + 1, end, ip->nexthdr, port, sum, now->replies);
	}
	if (made != XDP_PASS)
		return made;
	return now->ifindex ? bpf_redirect(now->ifindex, 0) : XDP_PASS;
}
